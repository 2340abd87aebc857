package deploy

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// ruleFile is a file of Prometheus' alerting rules.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

// decode reads YAML strictly.
func decode(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.UnmarshalWithOptions(repoFile(t, name), into, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestAlerts: expressions are PromQL over metrics and labels that exist, and every alert has an entry in the runbook.
func TestAlerts(t *testing.T) {
	var file ruleFile
	decode(t, "deploy/prometheus/alerts.yml", &file)
	headings := map[string]bool{}
	for line := range strings.SplitSeq(string(repoFile(t, "docs/runbook.md")), "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			headings[heading] = false
		}
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			have := checkExpression(t, rule.Alert, rule.Expr)
			summary := rule.Annotations["summary"]
			checkTemplate(t, rule.Alert, summary, have)
			if summary == "" || rule.Annotations["runbook"] != "docs/runbook.md#"+strings.ToLower(rule.Alert) {
				t.Errorf("%s says %q, see %q", rule.Alert, summary, rule.Annotations["runbook"])
			}
			if !slices.Contains([]string{"warning", "critical"}, rule.Labels["severity"]) {
				t.Errorf("%s is %q", rule.Alert, rule.Labels["severity"])
			}
			if described, ok := headings[rule.Alert]; !ok || described {
				t.Errorf("%s: the runbook has no entry of its own for it", rule.Alert)
			}
			headings[rule.Alert] = true
		}
	}
	for heading, used := range headings {
		if !used && isAlertName(heading) {
			t.Errorf("the runbook tells of %s, which is no alert", heading)
		}
	}
}

func isAlertName(heading string) bool {
	return !strings.Contains(heading, " ") && (strings.HasPrefix(heading, "Drumlin") || strings.HasPrefix(heading, "Etcd"))
}

// prometheusFile is what is checked of Prometheus' own configuration.
type prometheusFile struct {
	Global        map[string]string `yaml:"global"`
	RuleFiles     []string          `yaml:"rule_files"`
	ScrapeConfigs []struct {
		JobName       string            `yaml:"job_name"`
		Authorization map[string]string `yaml:"authorization"`
		StaticConfigs []struct {
			Targets []string          `yaml:"targets"`
			Labels  map[string]string `yaml:"labels"`
		} `yaml:"static_configs"`
	} `yaml:"scrape_configs"`
}

// TestPrometheusScrapesEveryProcess: each process is a target at the port it listens on, by its role, with a token that may read.
func TestPrometheusScrapesEveryProcess(t *testing.T) {
	p := project(t)
	var file prometheusFile
	decode(t, "deploy/prometheus/prometheus.yml", &file)
	command := p.Services["prometheus"].Command
	mounted(t, p, "prometheus", flagValue(t, command, "--config.file"))
	for _, rules := range file.RuleFiles {
		mounted(t, p, "prometheus", rules)
	}
	targets := map[string]string{}
	for _, job := range file.ScrapeConfigs {
		for _, group := range job.StaticConfigs {
			for _, target := range group.Targets {
				targets[target] = job.JobName + " " + group.Labels["role"]
			}
		}
		if credentials := job.Authorization["credentials_file"]; job.JobName == "drumlin" && credentials != "/run/secrets/"+p.Services["prometheus"].Secrets[0].Source {
			t.Errorf("the token is read from %q", credentials)
		}
	}
	want := map[string]string{}
	for _, name := range drumlinServices(p) {
		c := effective(t, p, name)
		_, port, err := net.SplitHostPort(c.HTTP.Address)
		if err != nil {
			t.Fatal(err)
		}
		want[net.JoinHostPort(name, port)] = "drumlin " + strings.Join(c.Roles, ",")
		readers := 0
		for _, token := range c.Access.Tokens {
			if token.Name == "prometheus" && token.Role == "read" {
				readers++
			}
		}
		if readers != 1 || p.Secrets["drumlin_read_token"].Environment != "DRUMLIN_READ_TOKEN" {
			t.Errorf("%s: %d tokens are Prometheus' own", name, readers)
		}
		for _, endpoint := range c.Etcd.Endpoints {
			want[endpoint] = "etcd "
		}
	}
	if !maps.Equal(targets, want) {
		t.Errorf("targets are %v\nwant %v", targets, want)
	}
	if port := p.Services["prometheus"].Ports[0].Target; strconv.Itoa(int(port)) != "9090" {
		t.Errorf("Prometheus is published at %d", port)
	}
}
