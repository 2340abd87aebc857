package deploy

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// dashboard is what is checked of Grafana's model of a dashboard.
type dashboard struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
			Datasource source `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID         int    `json:"id"`
	Type       string `json:"type"`
	Title      string `json:"title"`
	Datasource source `json:"datasource"`
	GridPos    struct{ H, W, X, Y int }
	Targets    []struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Datasource   source `json:"datasource"`
	} `json:"targets"`
}

type datasourceFile struct {
	APIVersion  int `yaml:"apiVersion"`
	Datasources []struct {
		Name      string            `yaml:"name"`
		UID       string            `yaml:"uid"`
		Type      string            `yaml:"type"`
		Access    string            `yaml:"access"`
		URL       string            `yaml:"url"`
		IsDefault bool              `yaml:"isDefault"`
		Editable  bool              `yaml:"editable"`
		JSONData  map[string]string `yaml:"jsonData"`
	} `yaml:"datasources"`
}

type providerFile struct {
	APIVersion int `yaml:"apiVersion"`
	Providers  []struct {
		Name            string            `yaml:"name"`
		Type            string            `yaml:"type"`
		DisableDeletion bool              `yaml:"disableDeletion"`
		AllowUIUpdates  bool              `yaml:"allowUiUpdates"`
		Options         map[string]string `yaml:"options"`
	} `yaml:"providers"`
}

// TestGrafanaFindsItsFiles: the data source is the service, and the dashboard lies where the provider looks.
func TestGrafanaFindsItsFiles(t *testing.T) {
	p := project(t)
	var sources datasourceFile
	decode(t, "deploy/grafana/provisioning/datasources/prometheus.yml", &sources)
	if got := sources.Datasources[0].URL; got != fmt.Sprintf("http://prometheus:%d", p.Services["prometheus"].Ports[0].Target) {
		t.Errorf("Grafana asks %s", got)
	}
	var providers providerFile
	decode(t, "deploy/grafana/provisioning/dashboards/drumlin.yml", &providers)
	file := path.Join(providers.Providers[0].Options["path"], "drumlin.json")
	mounted(t, p, "grafana", file)
	if home := p.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]; home == nil || *home != file {
		t.Errorf("Grafana's home is not %s", file)
	}
	for _, c := range p.Services["grafana"].Configs {
		if strings.Contains(c.Target, "/provisioning/") && !strings.HasPrefix(c.Target, "/etc/grafana/provisioning/") {
			t.Errorf("%s lies where Grafana does not look", c.Target)
		}
	}
}

// TestDashboard: panels are told apart, do not overlap, and ask the provisioned data source for metrics that exist.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal(repoFile(t, "deploy/grafana/dashboards/drumlin.json"), &d); err != nil {
		t.Fatal(err)
	}
	var sources datasourceFile
	decode(t, "deploy/grafana/provisioning/datasources/prometheus.yml", &sources)
	want := source{Type: sources.Datasources[0].Type, UID: sources.Datasources[0].UID}
	variables := []string{}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		metric, label, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ")"), ", ")
		if !ok || !metrics(t)[metric][label] || v.Datasource != want {
			t.Errorf("the variable %s asks %+v for %s", v.Name, v.Datasource, v.Definition)
		}
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("the panel %q has the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("the panels %q and %q overlap, or leave the grid", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" {
			p.check(t, want, variables)
		}
	}
	for _, wanted := range []string{"lag", "freshness", "hot bytes", "handoffs", "rollup ratio", "segments per chunk", "queue", "latency"} {
		if !slices.ContainsFunc(d.Panels, func(p panel) bool { return strings.EqualFold(p.Title, wanted) }) {
			t.Errorf("there is no panel about %s", wanted)
		}
	}
}

func (p panel) check(t *testing.T, want source, variables []string) {
	t.Helper()
	if p.Datasource != want || len(p.Targets) == 0 {
		t.Errorf("the panel %q asks %+v for %d things", p.Title, p.Datasource, len(p.Targets))
	}
	references := map[string]bool{}
	for _, target := range p.Targets {
		if references[target.RefID] || target.RefID == "" || target.Datasource != want {
			t.Errorf("the panel %q has the target %q at %+v", p.Title, target.RefID, target.Datasource)
		}
		references[target.RefID] = true
		expression := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
		for _, name := range variables {
			expression = strings.ReplaceAll(expression, `"$`+name+`"`, `".*"`)
		}
		if strings.Contains(expression, "$") {
			t.Errorf("the panel %q: %s has a variable that does not exist", p.Title, target.Expr)
			continue
		}
		checkTemplate(t, "panel "+p.Title, target.LegendFormat, checkExpression(t, "panel "+p.Title, expression))
	}
}
