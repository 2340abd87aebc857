package harness

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"drumlin/internal/testkit"
)

// Node is one drumlin process of a cluster. Its name, addresses and configuration stay the same over restarts. What is asked
// of it goes to it alone.
type Node struct {
	*Process
	Asker

	ID           string
	Roles        []string
	HTTP, Flight string // host:port on which it listens
	Host         *Host  // nil: this machine

	// The ways to others, and from others to its Flight port, as the test can cut them. On this machine they exist with
	// ClusterOptions.Links only, and none to Kafka; in a host, all but Flights.
	ToEtcd                      []*NetProxy
	ToObjects, ToKafka, Flights *NetProxy

	// Env and Set are further settings, NAME=VALUE and PATH=VALUE, from the next start on.
	Env, Set []string

	cluster *Cluster
	dir     string
}

// New prepares a process on this machine; Start starts it.
func (c *Cluster) New(t testing.TB, roles ...string) *Node {
	t.Helper()
	n := c.newNode(t, roles)
	n.HTTP, n.Flight = testkit.FreeAddress(t), testkit.FreeAddress(t)
	if c.options.Links {
		n.Flights = NewNetProxy(t, n.Flight)
		n.ToObjects = NewNetProxy(t, c.S3Proxy.Address())
		for _, endpoint := range c.Etcd.Endpoints() {
			n.ToEtcd = append(n.ToEtcd, NewNetProxy(t, bare(endpoint)))
		}
	}
	n.configure(t)
	return n
}

// NewOn prepares a process in a host of its own.
func (c *Cluster) NewOn(t testing.TB, h *Host, roles ...string) *Node {
	t.Helper()
	n := c.newNode(t, roles)
	n.Host = h
	for _, address := range []*string{&n.HTTP, &n.Flight} {
		_, port := splitAddress(t, testkit.FreeAddress(t))
		*address = net.JoinHostPort(h.Address, port)
	}
	n.ToObjects = h.Forward(t, c.S3Proxy.Address())
	for _, endpoint := range c.Etcd.Endpoints() {
		n.ToEtcd = append(n.ToEtcd, h.Forward(t, bare(endpoint)))
	}
	// The broker advertises a name and its own port: the way to it must have that port.
	_, port := splitAddress(t, c.hostsKafka)
	n.ToKafka = NewNetProxyOn(t, net.JoinHostPort(h.Gateway, port), c.hostsKafka)
	n.configure(t)
	return n
}

// bare is an endpoint without its scheme.
func bare(endpoint string) string {
	if _, address, ok := strings.Cut(endpoint, "://"); ok {
		return address
	}
	return endpoint
}

func (c *Cluster) newNode(t testing.TB, roles []string) *Node {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 1
	for _, n := range c.nodes {
		if slices.Equal(n.Roles, roles) {
			count++
		}
	}
	n := &Node{ID: fmt.Sprintf("%s-%d", strings.Join(roles, "-"), count), Roles: roles, cluster: c, dir: t.TempDir()}
	n.Process = newProcess("drumlin server " + n.ID)
	n.Asker = Asker{binary: c.binary, address: func(string) string { return n.HTTP }, brokers: c.brokers}
	t.Cleanup(func() {
		n.Kill(t)
		n.log.show(t, n.Name)
	})
	c.nodes = append(c.nodes, n)
	return n
}

// Has says whether the process has the role.
func (n *Node) Has(role string) bool { return slices.Contains(n.Roles, role) }

// Launch starts the process and does not wait.
func (n *Node) Launch(t testing.TB) {
	t.Helper()
	path, args := n.binary, []string{"server", "--config", n.file("server.yaml")}
	for _, setting := range slices.Concat(n.cluster.options.Set, n.Set) {
		args = append(args, "--set", setting)
	}
	if n.Host != nil {
		path, args = n.Host.command(path, args)
	}
	env := slices.Concat(os.Environ(), []string{raceEnv, s3SecretVariable + "=" + s3Secret}, n.cluster.options.Env, n.Env)
	n.launch(t, testkit.RepoRoot(t), env, path, args...)
}

// Start starts the process and waits until it is healthy. It returns how long that took.
func (n *Node) Start(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	n.Launch(t)
	n.WaitHealthy(t)
	return time.Since(begin)
}

// Restart kills the process, if it runs, and starts it again.
func (n *Node) Restart(t testing.TB) time.Duration {
	t.Helper()
	n.Kill(t)
	return n.Start(t)
}

// WaitHealthy waits for /status/health to answer 200.
func (n *Node) WaitHealthy(t testing.TB) {
	t.Helper()
	waitHealthy(t, n.Process, &n.Asker)
}

// CacheDir holds the process's local copies of segments. It may be emptied at any time.
func (n *Node) CacheDir() string { return n.file("cache") }

func (n *Node) file(name string) string { return filepath.Join(n.dir, name) }

// s3SecretVariable holds the S3 server's secret in a process's environment.
const s3SecretVariable = "DRUMLIN_TEST_S3_SECRET"

// configure writes the process's configuration. JSON is YAML.
func (n *Node) configure(t testing.TB) {
	t.Helper()
	c := n.cluster
	type section = map[string]any
	endpoints, objects, brokers, flight := c.Etcd.Endpoints(), c.S3Proxy.Address(), c.brokers, section{"address": n.Flight}
	if n.Flights != nil {
		flight["advertise"] = n.Flights.Address()
	}
	if n.ToObjects != nil {
		objects = n.ToObjects.Address()
		endpoints = nil
		for _, way := range n.ToEtcd {
			endpoints = append(endpoints, way.Address())
		}
	}
	if n.ToKafka != nil {
		_, port := splitAddress(t, n.ToKafka.Address())
		brokers = net.JoinHostPort(kafkaHostName, port)
	}
	config := section{
		"node": section{"id": n.ID}, "roles": n.Roles,
		"http": section{"address": n.HTTP}, "flight": flight,
		"etcd":  section{"endpoints": endpoints, "prefix": "/" + c.ID},
		"kafka": section{"bootstrapServers": []string{brokers}},
		"objects": section{"type": "s3", "s3": section{
			"bucket": s3Bucket, "prefix": c.ID, "region": s3Region, "endpoint": "http://" + objects, "pathStyle": true,
			"accessKeyId": s3AccessKey, "secretAccessKey": "${" + s3SecretVariable + "}",
		}},
		"cache": section{"dir": n.CacheDir(), "maxBytes": "2GiB"}, "spill": section{"dir": n.file("spill")},
		"ingest":   section{"maxHotBytes": "512MiB", "discoverInterval": "1s"},
		"query":    section{"maxBytes": "512MiB", "hotBudget": "20s"},
		"leaseTTL": c.options.LeaseTTL.String(), "stopTimeout": "20s",
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.file("server.yaml"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
