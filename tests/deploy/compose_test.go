package deploy

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"drumlin/internal/testkit"
)

const composeFile = "docker-compose.yml"

// environment is .env.example with a value for each variable, as deploy/env makes it.
func environment(t *testing.T) map[string]string {
	t.Helper()
	variables, err := dotenv.UnmarshalBytesWithLookup(repoFile(t, ".env.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range variables {
		if value == "" {
			variables[name] = strings.ToLower(rand.Text())
		}
	}
	return variables
}

// load reads the compose file as docker compose does: interpolated, merged, checked by the schema and for consistency.
func load(t *testing.T, variables map[string]string) (*types.Project, error) {
	t.Helper()
	root := testkit.RepoRoot(t)
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, composeFile)}},
		Environment: variables,
	})
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, environment(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeFileIsRefusedWithoutASecret(t *testing.T) {
	for name := range environment(t) {
		if name == "S3_BUCKET" || name == "DRUMLIN_VERSION" {
			continue // these are no secrets and have defaults
		}
		variables := environment(t)
		variables[name] = ""
		if _, err := load(t, variables); err == nil || !strings.Contains(err.Error(), "deploy/env") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestEnvironmentIsMadeFromTheExample: every variable of the example has a value, secrets are random, and no other is used.
func TestEnvironmentIsMadeFromTheExample(t *testing.T) {
	script := filepath.Join(testkit.RepoRoot(t), "deploy", "env")
	read := func() map[string]string {
		stdout, stderr, code := run(t, os.Environ(), "bash", script)
		if code != 0 {
			t.Fatalf("deploy/env: %s", stderr)
		}
		variables, err := dotenv.UnmarshalBytesWithLookup([]byte(stdout), nil)
		if err != nil {
			t.Fatal(err)
		}
		return variables
	}
	first, second, example := read(), read(), environment(t)
	if !slices.Equal(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(example))) {
		t.Errorf("deploy/env makes %v", slices.Sorted(maps.Keys(first)))
	}
	for name, value := range first {
		fixed := name == "S3_BUCKET" || name == "DRUMLIN_VERSION"
		if value == "" || (value == second[name]) != fixed {
			t.Errorf("%s: %d characters, the same again: %t", name, len(value), value == second[name])
		}
	}
	for _, name := range composeVariables(t) {
		if _, ok := example[name]; !ok {
			t.Errorf("docker-compose.yml uses ${%s}, which .env.example does not have", name)
		}
	}
}

// composeVariables are the names in ${…} of the compose file.
func composeVariables(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, part := range strings.Split(string(repoFile(t, composeFile)), "${")[1:] {
		name, _, _ := strings.Cut(part, "}")
		out = append(out, strings.FieldsFunc(name, func(c rune) bool { return c == ':' || c == '-' || c == '?' })[0])
	}
	return out
}

// TestServicesStartInAnOrder: what a service waits for exists, can become true, and does not wait for the service.
func TestServicesStartInAnOrder(t *testing.T) {
	p := project(t)
	for name, service := range p.Services {
		for dependency, condition := range service.DependsOn {
			other, ok := p.Services[dependency]
			switch {
			case !ok:
				t.Errorf("%s waits for %s, which is not there", name, dependency)
			case condition.Condition == types.ServiceConditionHealthy && other.HealthCheck == nil:
				t.Errorf("%s waits for %s to be healthy, which has no health check", name, dependency)
			case condition.Condition == types.ServiceConditionCompletedSuccessfully && other.Restart != types.RestartPolicyOnFailure:
				t.Errorf("%s waits for the end of %s, which is started again: %q", name, dependency, other.Restart)
			}
		}
		if cycle := dependencyCycle(p, name, nil); cycle != nil {
			t.Errorf("services wait for each other: %v", cycle)
		}
		if service.HealthCheck == nil && service.Restart != types.RestartPolicyOnFailure {
			t.Errorf("%s has no health check", name)
		}
	}
}

func dependencyCycle(p *types.Project, name string, above []string) []string {
	if slices.Contains(above, name) {
		return append(above, name)
	}
	for dependency := range p.Services[name].DependsOn {
		if cycle := dependencyCycle(p, dependency, append(slices.Clip(above), name)); cycle != nil {
			return cycle
		}
	}
	return nil
}

// TestOnlyThisMachineReachesThePorts: ports are published on 127.0.0.1, by services that have a network for it.
func TestOnlyThisMachineReachesThePorts(t *testing.T) {
	p := project(t)
	if !bool(p.Networks["inside"].Internal) {
		t.Error("the network inside is reached from outside")
	}
	published := map[string]string{}
	for name, service := range p.Services {
		outside := false
		for network := range service.Networks {
			outside = outside || !bool(p.Networks[network].Internal)
		}
		if outside != (len(service.Ports) > 0) {
			t.Errorf("%s publishes %d ports, and is on a network for that: %t", name, len(service.Ports), outside)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q", name, port.Published, port.HostIP)
			}
			if other := published[port.Published]; other != "" {
				t.Errorf("%s and %s publish port %s", name, other, port.Published)
			}
			published[port.Published] = name
		}
	}
	want := map[string]string{"8888": "query", "8890": "coordinate", "9092": "kafka", "9090": "prometheus", "3000": "grafana"}
	if !maps.Equal(published, want) {
		t.Errorf("published are %v, want %v", published, want)
	}
}

// TestFilesOfTheComposeFileExist: configurations are files of the repository, and every declared part is used.
func TestFilesOfTheComposeFileExist(t *testing.T) {
	p := project(t)
	used := map[string]bool{}
	for name, service := range p.Services {
		for _, c := range service.Configs {
			used["config "+c.Source] = true
			if _, ok := p.Configs[c.Source]; !ok {
				t.Errorf("%s mounts the config %s, which is not declared", name, c.Source)
			}
		}
		for _, s := range service.Secrets {
			used["secret "+s.Source] = true
		}
		for _, v := range service.Volumes {
			used["volume "+v.Source] = true
			if v.Type != types.VolumeTypeVolume {
				t.Errorf("%s mounts %s of the host", name, v.Source)
			}
		}
		if strings.HasSuffix(service.Image, ":latest") || !strings.Contains(service.Image, ":") {
			t.Errorf("%s: the image %s names no version", name, service.Image)
		}
	}
	for name, c := range p.Configs {
		info, err := os.Stat(c.File)
		if err != nil || !used["config "+name] {
			t.Errorf("config %s: %v; used: %t", name, err, used["config "+name])
		} else if info.Mode().Perm()&0o004 == 0 {
			t.Errorf("config %s: the containers' users cannot read %s", name, c.File)
		}
	}
	for name := range p.Volumes {
		if !used["volume "+name] {
			t.Errorf("the volume %s is used by nobody", name)
		}
	}
	for name, s := range p.Secrets {
		if !used["secret "+name] || s.Environment == "" {
			t.Errorf("the secret %s comes from %q; used: %t", name, s.Environment, used["secret "+name])
		}
	}
}

// mounted returns the repository's file that a service sees at this path.
func mounted(t *testing.T, p *types.Project, service, path string) string {
	t.Helper()
	for _, c := range p.Services[service].Configs {
		if c.Target == path {
			return p.Configs[c.Source].File
		}
	}
	t.Fatalf("%s has nothing at %s", service, path)
	return ""
}

// variablesOf is a service's environment, as a process gets it.
func variablesOf(service types.ServiceConfig) []string {
	var out []string
	for name, value := range service.Environment {
		if value != nil {
			out = append(out, fmt.Sprintf("%s=%s", name, *value))
		}
	}
	slices.Sort(out)
	return out
}
