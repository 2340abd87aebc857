package deploy

import (
	"archive/zip"
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"drumlin/internal/testkit"
)

// TestEtcdKnowsItsFlags: every flag of the three members is one that etcd lists, and the members name each other.
func TestEtcdKnowsItsFlags(t *testing.T) {
	etcd := testkit.Part(t, "etcd")
	stdout, stderr, _ := run(t, os.Environ(), etcd, "--help")
	help := stdout + stderr
	p := project(t)
	var clusters []string
	members := 0
	for name, service := range p.Services {
		if !strings.Contains(service.Image, "/etcd:") {
			continue
		}
		members++
		if !strings.HasSuffix(service.Image, ":v"+moduleVersion(t, "go.etcd.io/etcd/server/v3")) {
			t.Errorf("%s runs %s, and the program is tested with %s", name, service.Image, moduleVersion(t, "go.etcd.io/etcd/server/v3"))
		}
		for _, arg := range service.Command[1:] {
			flag, value, ok := strings.Cut(arg, "=")
			if !ok || value == "" || !strings.Contains(help, flag+" ") {
				t.Errorf("%s: etcd does not know %s", name, arg)
			}
		}
		if got := flagValue(t, service.Command, "--name"); got != name || service.Hostname != name {
			t.Errorf("%s is called %s at the host %s", name, got, service.Hostname)
		}
		data := flagValue(t, service.Command, "--data-dir")
		if len(service.Volumes) != 1 || service.Volumes[0].Target != data {
			t.Errorf("%s: its data in %s does not lie in a volume", name, data)
		}
		cluster := flagValue(t, service.Command, "--initial-cluster")
		if !strings.Contains(cluster, name+"="+flagValue(t, service.Command, "--initial-advertise-peer-urls")) {
			t.Errorf("%s is not in %s", name, cluster)
		}
		clusters = append(clusters, cluster)
	}
	slices.Sort(clusters)
	if members != 3 || len(slices.Compact(clusters)) != 1 {
		t.Errorf("%d members name the clusters %q", members, clusters)
	}
}

// moduleVersion is a module's version in go.mod.
func moduleVersion(t *testing.T, module string) string {
	t.Helper()
	for line := range strings.SplitSeq(string(repoFile(t, "go.mod")), "\n") {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), module+" v"); ok {
			version, _, _ = strings.Cut(version, " ")
			return version
		}
	}
	t.Fatalf("go.mod has no %s", module)
	return ""
}

// TestKafkaKnowsItsProperties: each KAFKA_… variable is the name of a property that the broker's classes hold.
func TestKafkaKnowsItsProperties(t *testing.T) {
	libs := testkit.Part(t, "kafka")
	missing := map[string]string{"no.such.property": "the check itself"}
	for name, value := range project(t).Services["kafka"].Environment {
		property, ok := strings.CutPrefix(name, "KAFKA_")
		if !ok || name == "KAFKA_HEAP_OPTS" {
			continue // not of the broker
		}
		if value == nil || *value == "" {
			t.Errorf("%s has no value", name)
		}
		missing[strings.ToLower(strings.ReplaceAll(property, "_", "."))] = name
	}
	jars, err := filepath.Glob(filepath.Join(libs, "kafka*.jar"))
	if err != nil || len(jars) == 0 {
		t.Fatalf("no jars in %s: %v", libs, err)
	}
	for _, jar := range jars {
		findProperties(t, jar, missing)
	}
	if _, ok := missing["no.such.property"]; !ok {
		t.Error("every property is found: the check checks nothing")
	}
	delete(missing, "no.such.property")
	if len(missing) > 0 {
		t.Errorf("Kafka has no property for %v", slices.Sorted(maps.Values(missing)))
	}
}

// findProperties removes the properties that classes of a jar hold as constants.
func findProperties(t *testing.T, jar string, missing map[string]string) {
	t.Helper()
	archive, err := zip.OpenReader(jar)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, file := range archive.File {
		if !strings.HasSuffix(file.Name, "Config.class") && !strings.HasSuffix(file.Name, "Configs.class") {
			continue
		}
		in, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		class, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		for property := range missing {
			// A constant has its length in two bytes before it.
			constant := append([]byte{byte(len(property) >> 8), byte(len(property))}, property...)
			if bytes.Contains(class, constant) {
				delete(missing, property)
			}
		}
	}
}

// TestTheBucketIsMade: the object store runs by its command line, and the script of the service "bucket" makes the bucket there,
// once, and fails with wrong keys.
func TestTheBucketIsMade(t *testing.T) {
	gateway := startGateway(t, "key-of-the-test", "secret-of-the-test")
	script := filepath.Join(testkit.RepoRoot(t), "deploy", "bucket")
	ask := func(secret string) (string, int) {
		stdout, stderr, code := run(t, append(os.Environ(), "S3_ENDPOINT=http://"+gateway, "S3_REGION=us-east-1", "S3_BUCKET=drumlin",
			"S3_ACCESS_KEY_ID=key-of-the-test", "S3_SECRET_ACCESS_KEY="+secret), "sh", script)
		return stdout + stderr, code
	}
	for _, want := range []string{"bucket drumlin made\n", "bucket drumlin is there\n"} {
		if out, code := ask("secret-of-the-test"); code != 0 || out != want {
			t.Errorf("exit code %d, %q, want %q", code, out, want)
		}
	}
	if out, code := ask("wrong-secret"); code == 0 || strings.Contains(out, "wrong-secret") {
		t.Errorf("with a wrong secret: exit code %d, %q", code, out)
	}
}
