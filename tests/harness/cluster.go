package harness

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"testing"
	"time"
)

// The roles of a process.
const (
	RoleIngest     = "ingest"
	RoleCoordinate = "coordinate"
	RoleCompact    = "compact"
	RoleQuery      = "query"
)

// ClusterOptions say what a cluster is made of. The zero value is two processes that ingest, and one for each other role, on
// the parts that the package's tests share.
type ClusterOptions struct {
	Ingesters, Coordinators, Compactors, Queriers int // processes of this role alone; all 0: 2, 1, 1, 1

	Parts    *Parts        // nil: SharedParts
	LeaseTTL time.Duration // 0: defaultLeaseTTL
	Set      []string      // PATH=VALUE of further settings of every process
	Env      []string      // NAME=VALUE for every process
	Links    bool          // put a NetProxy into each process's ways to etcd and to the object store, and before its Flight port
}

// defaultLeaseTTL is so long that no process loses its lease since the machine is busy. Tests of leases that end set a short one.
const defaultLeaseTTL = 15 * time.Second

// Cluster is drumlin as separate processes over Kafka, etcd and an S3 server. What is asked of it goes to a process that
// answers: SQL to one that queries, everything else to one that coordinates.
type Cluster struct {
	Asker
	*Parts
	S3Proxy *S3Proxy // before the S3 server, for this cluster alone

	// ID is unique: it names the cluster's prefixes in etcd and in the bucket.
	ID string

	options ClusterOptions

	mu    sync.Mutex
	nodes []*Node
}

// StartCluster starts processes and waits until they are healthy. They are killed at the test's end; their last log lines are
// shown where the test failed.
func StartCluster(t testing.TB, binary string, o ClusterOptions) *Cluster {
	t.Helper()
	if o.Ingesters+o.Coordinators+o.Compactors+o.Queriers == 0 {
		o.Ingesters, o.Coordinators, o.Compactors, o.Queriers = 2, 1, 1, 1
	}
	if o.LeaseTTL == 0 {
		o.LeaseTTL = defaultLeaseTTL
	}
	if o.Parts == nil {
		o.Parts = SharedParts(t)
	}
	c := &Cluster{Parts: o.Parts, S3Proxy: NewS3Proxy(t, o.Parts.S3.Address), ID: randomName(t), options: o}
	c.Asker = Asker{binary: binary, address: c.route, brokers: o.Parts.Kafka.Address()}
	var starting []*Node
	for _, part := range []struct {
		role  string
		count int
	}{
		{RoleIngest, o.Ingesters},
		{RoleCoordinate, o.Coordinators},
		{RoleCompact, o.Compactors},
		{RoleQuery, o.Queriers},
	} {
		for range part.count {
			n := c.New(t, part.role)
			n.Launch(t)
			starting = append(starting, n)
		}
	}
	for _, n := range starting {
		n.WaitHealthy(t)
	}
	return c
}

func randomName(t testing.TB) string {
	t.Helper()
	name := make([]byte, 5)
	if _, err := rand.Read(name); err != nil {
		t.Fatal(err)
	}
	return "t" + hex.EncodeToString(name)
}

// Topic is the name of a topic that is this cluster's own.
func (c *Cluster) Topic(name string) string { return c.ID + "-" + name }

// Add starts one more process with the roles and waits until it is healthy.
func (c *Cluster) Add(t testing.TB, roles ...string) *Node {
	t.Helper()
	n := c.New(t, roles...)
	n.Start(t)
	return n
}

// AddOn is Add in a host of its own.
func (c *Cluster) AddOn(t testing.TB, h *Host, roles ...string) *Node {
	t.Helper()
	n := c.NewOn(t, h, roles...)
	n.Start(t)
	return n
}

// Nodes are the cluster's processes, running or not, by the order of their making; with roles, those that have one of them.
func (c *Cluster) Nodes(roles ...string) []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*Node
	for _, n := range c.nodes {
		if len(roles) == 0 || slices.ContainsFunc(roles, n.Has) {
			out = append(out, n)
		}
	}
	return out
}

// Ingesters are the processes that ingest, running or not.
func (c *Cluster) Ingesters() []*Node { return c.Nodes(RoleIngest) }

// nobody is an address at which nothing listens.
const nobody = "127.0.0.1:1"

// route chooses the process that answers a path.
func (c *Cluster) route(path string) string {
	roles := []string{RoleCoordinate, RoleIngest, RoleQuery, RoleCompact}
	if path == sqlPath {
		roles = []string{RoleQuery}
	}
	for _, role := range roles {
		for _, n := range c.Nodes(role) {
			if n.Answering() {
				return n.HTTP
			}
		}
	}
	return nobody
}
