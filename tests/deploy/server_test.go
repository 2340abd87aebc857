package deploy

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"drumlin/internal/config"
)

// drumlinServices are the services of our own image.
func drumlinServices(p *types.Project) []string {
	var out []string
	for name, service := range p.Services {
		if service.Build != nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// effective runs a service's command line through the program's own parser, with the service's environment, and returns the
// settings that it would run by.
func effective(t *testing.T, p *types.Project, name string) config.Server {
	t.Helper()
	service := p.Services[name]
	args := slices.Clone(service.Command)
	for i, arg := range args {
		if i > 0 && args[i-1] == "--config" {
			args[i] = mounted(t, p, name, arg)
		}
	}
	stdout, stderr, code := run(t, variablesOf(service), binary, append(args, "--dry-run")...)
	if code != 0 {
		t.Fatalf("%s: %q is refused:\n%s", name, args, stderr)
	}
	for _, variable := range variablesOf(service) {
		secretName, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(secretName, "DRUMLIN_") && secretName != "S3_SECRET_ACCESS_KEY" {
			continue
		}
		if strings.Contains(stdout, value) || strings.Contains(stderr, value) {
			t.Errorf("%s: %s is printed", name, secretName)
		}
	}
	c, err := config.Parse([]byte(stdout), func(string) string { return "" })
	if err != nil {
		t.Fatalf("%s: the effective settings cannot be read: %v\n%s", name, err, stdout)
	}
	return c
}

func TestEveryRoleRuns(t *testing.T) {
	p := project(t)
	processes := map[string]int{}
	names := map[string]string{}
	for _, name := range drumlinServices(p) {
		c := effective(t, p, name)
		for _, role := range c.Roles {
			processes[role]++
		}
		if other, taken := names[p.Services[name].Hostname]; taken {
			t.Errorf("%s and %s have one host name, and so one node id", name, other)
		}
		names[p.Services[name].Hostname] = name
		if p.Services[name].Hostname != name {
			t.Errorf("%s advertises itself as %s, which nobody can resolve", name, p.Services[name].Hostname)
		}
	}
	for _, role := range config.AllRoles() {
		want := 1
		if role == config.RoleIngest {
			want = 2
		}
		if processes[role] != want {
			t.Errorf("%d processes have the role %s, want %d", processes[role], role, want)
		}
	}
}

// TestProcessesReachEachOther: what the settings name are services of the file, at ports that they listen on.
func TestProcessesReachEachOther(t *testing.T) {
	p := project(t)
	etcd, brokers := []string{}, []string{}
	for name, service := range p.Services {
		for _, arg := range service.Command {
			if clients, ok := strings.CutPrefix(arg, "--advertise-client-urls="); ok {
				etcd = append(etcd, strings.TrimPrefix(clients, "http://"))
			}
		}
		if advertised := service.Environment["KAFKA_ADVERTISED_LISTENERS"]; advertised != nil {
			for listener := range strings.SplitSeq(*advertised, ",") {
				if _, address, ok := strings.Cut(listener, "://"); ok && strings.HasPrefix(address, name+":") {
					brokers = append(brokers, address)
				}
			}
		}
	}
	slices.Sort(etcd)
	s3 := fmt.Sprintf("s3:%s", flagValue(t, p.Services["s3"].Command, "--port")[1:])
	for _, name := range drumlinServices(p) {
		c := effective(t, p, name)
		if !slices.Equal(c.Etcd.Endpoints, etcd) {
			t.Errorf("%s asks etcd at %v, which is at %v", name, c.Etcd.Endpoints, etcd)
		}
		if !slices.Equal(c.Kafka.BootstrapServers, brokers) {
			t.Errorf("%s asks brokers at %v, which are at %v", name, c.Kafka.BootstrapServers, brokers)
		}
		endpoint, err := url.Parse(c.Objects.S3.Endpoint)
		if err != nil || endpoint.Host != s3 {
			t.Errorf("%s asks for objects at %s, which are at %s", name, c.Objects.S3.Endpoint, s3)
		}
		if bucket := p.Services["bucket"].Environment["S3_BUCKET"]; bucket == nil || c.Objects.S3.Bucket != *bucket {
			t.Errorf("%s uses the bucket %s, which nobody makes", name, c.Objects.S3.Bucket)
		}
		needs := p.Services[name].DependsOn
		for _, address := range append(slices.Clone(c.Etcd.Endpoints), "bucket:0") {
			host, _, _ := net.SplitHostPort(address)
			if _, ok := needs[host]; !ok {
				t.Errorf("%s does not wait for %s", name, host)
			}
		}
		if _, waits := needs["kafka"]; waits != (c.Has(config.RoleIngest) || c.Has(config.RoleCoordinate)) {
			t.Errorf("%s waits for Kafka: %t", name, waits)
		}
	}
}

func flagValue(t *testing.T, args []string, flag string) string {
	t.Helper()
	for i, arg := range args {
		if arg == flag && i+1 < len(args) {
			return args[i+1]
		}
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			return value
		}
	}
	t.Fatalf("%q has no %s", args, flag)
	return ""
}

// TestServicesFitTheirSettings: published ports are listened on, directories survive, memory suffices, a stop has its time.
func TestServicesFitTheirSettings(t *testing.T) {
	const drain = 5 * time.Second // what requests on their way get
	p := project(t)
	for _, name := range drumlinServices(p) {
		service, c := p.Services[name], effective(t, p, name)
		_, httpPort, err := net.SplitHostPort(c.HTTP.Address)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range service.Ports {
			if strconv.Itoa(int(port.Target)) != httpPort {
				t.Errorf("%s publishes port %d and listens on %s", name, port.Target, c.HTTP.Address)
			}
		}
		if p.Services[name].Ports == nil && c.Has(config.RoleQuery) {
			t.Errorf("%s cannot be asked", name)
		}
		for _, dir := range []string{c.Cache.Dir, c.Spill.Dir} {
			inVolume := slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool { return strings.HasPrefix(dir, v.Target+"/") })
			if !inVolume || !service.ReadOnly {
				t.Errorf("%s: %s lies in a volume: %t; the rest is read-only: %t", name, dir, inVolume, service.ReadOnly)
			}
		}
		if service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) < c.StopTimeout+drain {
			t.Errorf("%s is killed before its last handoffs may end: %v", name, service.StopGracePeriod)
		}
		if need := memoryNeed(c); int64(service.MemLimit) < need {
			t.Errorf("%s may use %d bytes, and is told to use %d", name, service.MemLimit, need)
		}
		if len(c.Access.Tokens) == 0 || c.Access.PeerToken == "" {
			t.Errorf("%s answers everybody", name)
		}
	}
}

// memoryNeed is what a process is told to use, and what it needs beside that.
func memoryNeed(c config.Server) int64 {
	need := int64(256 << 20)
	if c.Has(config.RoleIngest) {
		need += int64(c.Ingest.MaxHotBytes)
	}
	if c.Has(config.RoleQuery) {
		need += int64(c.Query.MaxBytes + c.Query.MaxHotBytes)
	}
	if c.Has(config.RoleCompact) {
		need += int64(c.Compaction.MaxBytes) * int64(c.Compaction.Slots)
	}
	return need
}

// TestHealthChecksOfOurImageAreCommands: against a port where nobody listens they say "not healthy", not "wrong usage".
func TestHealthChecksOfOurImageAreCommands(t *testing.T) {
	p := project(t)
	checks := [][]string{dockerfile(t).healthCheck}
	for _, name := range drumlinServices(p) {
		checks = append(checks, p.Services[name].HealthCheck.Test[1:])
	}
	for _, check := range checks {
		if check[0] != "drumlin" {
			t.Fatalf("a health check of our image is %q", check)
		}
		_, stderr, code := run(t, append(os.Environ(), "DRUMLIN_SERVER=http://127.0.0.1:1"), binary, check[1:]...)
		if code != 1 {
			t.Errorf("%q exits with %d where nobody listens, want 1: %s", check, code, stderr)
		}
	}
}

// TestExampleConfigurations: every file of configs/server*.yaml is one that a server starts by.
func TestExampleConfigurations(t *testing.T) {
	p := project(t)
	variables := variablesOf(p.Services["query"])
	for _, name := range []string{"configs/server.yaml", "configs/server-compose.yaml"} {
		path := writeFile(t, "server.yaml", repoFile(t, name))
		if _, stderr, code := run(t, variables, binary, "config", "check", path); code != 0 {
			t.Errorf("%s: %s", name, stderr)
		}
		stdout, stderr, code := run(t, variables, binary, "config", "--config", path)
		if code != 0 || !strings.Contains(stdout, "leaseTTL: 10s") {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
	path := writeFile(t, "bad.yaml", []byte("roles: [ingset]\nhttp: {adress: x}\n"))
	_, stderr, code := run(t, nil, binary, "config", "check", path)
	if code != 1 || !strings.Contains(stderr, "http.adress") || !strings.Contains(stderr, "did you mean address?") {
		t.Errorf("a bad file: exit code %d, %s", code, stderr)
	}
	_, stderr, code = run(t, nil, binary, "config", "check", writeFile(t, "role.yaml", []byte("roles: [ingset]\n")))
	if code != 1 || !strings.Contains(stderr, "did you mean ingest?") {
		t.Errorf("a bad role: exit code %d, %s", code, stderr)
	}
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := t.TempDir() + "/" + name
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
