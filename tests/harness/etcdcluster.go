package harness

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"drumlin/internal/secure"
	"drumlin/internal/testkit"
)

// EtcdOptions say what cluster a test wants.
type EtcdOptions struct {
	Members int  // 0: three
	TLS     bool // between members and clients, with client certificates
	// Auth switches authentication on: EtcdUser may read and write below Prefix, and nothing else.
	Auth   bool
	Prefix string // empty: EtcdPrefix
	// ElectionTimeout is how long members wait for a leader that is silent. 0: half a second. Heartbeats are ten times as many.
	ElectionTimeout time.Duration
	QuotaBytes      int64 // of the database; 0: etcd's own
	// TokenLife is how long a token lives that nobody uses; whole seconds; 0: etcd's own five minutes.
	TokenLife time.Duration
}

// The users of a cluster with authentication.
const (
	EtcdPrefix       = "drumlin"
	EtcdUser         = "drumlin"
	EtcdPassword     = "drumlin-test-password"
	etcdRoot         = "root"
	etcdRootPassword = "root-test-password"
)

// EtcdCluster is a cluster of real etcd processes on loopback, killed at the test's end. Their addresses and data stay the
// same over restarts. It serves one goroutine.
type EtcdCluster struct {
	CA *testkit.CA // nil without TLS

	members []*etcdMember
	options EtcdOptions
	server  testkit.Pair
	client  testkit.Pair
	tls     *tls.Config
	authOn  bool
}

type etcdMember struct {
	*Process
	id           uint64
	client, peer string // host:port
	args         []string
	dir          string
}

// StartEtcd starts a cluster and returns once it has a leader, and its users where there are to be any.
func StartEtcd(t testing.TB, o EtcdOptions) *EtcdCluster {
	t.Helper()
	testkit.Part(t, "etcd") // skips, or fails, before anything starts
	if o.Members == 0 {
		o.Members = 3
	}
	if o.ElectionTimeout == 0 {
		o.ElectionTimeout = 500 * time.Millisecond
	}
	if o.Prefix == "" {
		o.Prefix = EtcdPrefix
	}
	c := &EtcdCluster{options: o}
	if o.TLS {
		c.certify(t)
	}
	for i := range o.Members {
		c.members = append(c.members, &etcdMember{
			Process: newProcess(fmt.Sprintf("etcd %d", i)), client: testkit.FreeAddress(t), peer: testkit.FreeAddress(t), dir: t.TempDir(),
		})
	}
	for i := range c.members {
		c.members[i].args = c.args(i)
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			m.Kill(t)
			m.log.show(t, m.Name)
		}
	})
	for i := range c.members {
		c.launch(t, i)
	}
	c.WaitLeader(t)
	if o.Auth {
		c.enableAuth(t)
	}
	return c
}

// certify makes the certificates of members and clients.
func (c *EtcdCluster) certify(t testing.TB) {
	t.Helper()
	c.CA = testkit.NewCA(t)
	c.server, c.client = c.CA.Server(t, "etcd"), c.CA.Client(t, "etcd-client")
	var err error
	if c.tls, err = c.TLS().Config(); err != nil {
		t.Fatal(err)
	}
}

// TLS names the files that a client of the cluster needs; the zero value without TLS.
func (c *EtcdCluster) TLS() secure.ClientTLS {
	if c.CA == nil {
		return secure.ClientTLS{}
	}
	return secure.ClientTLS{CAFile: c.CA.File, CertFile: c.client.CertFile, KeyFile: c.client.KeyFile}
}

func (c *EtcdCluster) scheme() string {
	if c.CA != nil {
		return "https://"
	}
	return "http://"
}

// Endpoints are the members' URLs for clients, in the order of their numbers.
func (c *EtcdCluster) Endpoints() []string {
	out := make([]string, len(c.members))
	for i, m := range c.members {
		out[i] = c.scheme() + m.client
	}
	return out
}

func (c *EtcdCluster) args(i int) []string {
	m, o := c.members[i], c.options
	initial := make([]string, len(c.members))
	for j, other := range c.members {
		initial[j] = fmt.Sprintf("m%d=%s%s", j, c.scheme(), other.peer)
	}
	args := []string{
		"--name", "m" + strconv.Itoa(i), "--data-dir", filepath.Join(m.dir, "data"),
		"--listen-client-urls", c.scheme() + m.client, "--advertise-client-urls", c.scheme() + m.client,
		"--listen-peer-urls", c.scheme() + m.peer, "--initial-advertise-peer-urls", c.scheme() + m.peer,
		"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-token", c.members[0].peer,
		"--election-timeout", strconv.FormatInt(o.ElectionTimeout.Milliseconds(), 10),
		"--heartbeat-interval", strconv.FormatInt(max(o.ElectionTimeout.Milliseconds()/10, 1), 10),
		// What a killed process wrote stays in the kernel, and only the death of the machine would need more.
		"--unsafe-no-fsync", "--log-level", "warn", "--log-outputs", "stderr",
	}
	if o.QuotaBytes != 0 {
		args = append(args, "--quota-backend-bytes", strconv.FormatInt(o.QuotaBytes, 10))
	}
	if o.TokenLife != 0 {
		args = append(args, "--auth-token-ttl", strconv.FormatInt(int64(o.TokenLife.Seconds()), 10))
	}
	if c.CA != nil {
		args = append(args,
			"--cert-file", c.server.CertFile, "--key-file", c.server.KeyFile, "--trusted-ca-file", c.CA.File, "--client-cert-auth",
			"--peer-cert-file", c.server.CertFile, "--peer-key-file", c.server.KeyFile, "--peer-trusted-ca-file", c.CA.File,
			"--peer-client-cert-auth")
	}
	return args
}

func (c *EtcdCluster) launch(t testing.TB, i int) {
	t.Helper()
	m := c.members[i]
	m.launch(t, m.dir, nil, testkit.Part(t, "etcd"), m.args...)
}

// KillMember ends a member with SIGKILL.
func (c *EtcdCluster) KillMember(t testing.TB, i int) {
	t.Helper()
	c.members[i].Kill(t)
}

// StopMember pauses a member with SIGSTOP: its connections stay open and silent.
func (c *EtcdCluster) StopMember(t testing.TB, i int) {
	t.Helper()
	c.members[i].Pause(t)
}

// ContinueMember lets a paused member go on.
func (c *EtcdCluster) ContinueMember(t testing.TB, i int) {
	t.Helper()
	c.members[i].Continue(t)
}

// RestartMember starts a member that was killed, and waits until it answers where the cluster can have a leader.
func (c *EtcdCluster) RestartMember(t testing.TB, i int) {
	t.Helper()
	c.launch(t, i)
	answering := 0
	for _, m := range c.members {
		if m.Answering() {
			answering++
		}
	}
	if answering <= len(c.members)/2 {
		return
	}
	c.poll(t, fmt.Sprintf("etcd member %d has a leader", i), func(ctx context.Context) error {
		status, err := c.status(ctx, i)
		if err == nil && status.Leader == 0 {
			err = errors.New("it has no leader")
		}
		return err
	})
}

// WaitLeader waits until a running member leads.
func (c *EtcdCluster) WaitLeader(t testing.TB) int {
	t.Helper()
	leader := -1
	c.poll(t, "an etcd member leads", func(ctx context.Context) error {
		var err error
		leader, err = c.Leader(ctx)
		return err
	})
	return leader
}

// Leader is the number of the member that leads by what a majority says.
func (c *EtcdCluster) Leader(ctx context.Context) (int, error) {
	votes := map[uint64]int{}
	var problems []error
	for i, m := range c.members {
		if !m.Answering() {
			continue
		}
		status, err := c.status(ctx, i)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", m.Name, err))
			continue
		}
		m.id = status.Header.MemberId
		votes[status.Leader]++
	}
	for i, m := range c.members {
		if m.id != 0 && votes[m.id] > len(c.members)/2 && m.Answering() {
			return i, nil
		}
	}
	return -1, errors.Join(append(problems, errors.New("no etcd member leads a majority"))...)
}

// status asks one member. No user is needed for that.
func (c *EtcdCluster) status(ctx context.Context, i int) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	client, err := c.dial(i, "", "")
	if err != nil {
		return nil, err
	}
	status, err := client.Status(ctx, c.Endpoints()[i])
	return status, errors.Join(err, client.Close())
}

// dial connects to one member, or to all where i is below 0.
func (c *EtcdCluster) dial(i int, user, password string) (*clientv3.Client, error) {
	endpoints := c.Endpoints()
	if i >= 0 {
		endpoints = endpoints[i : i+1]
	}
	return clientv3.New(clientv3.Config{
		Endpoints: slices.Clone(endpoints), DialTimeout: startBudget, TLS: c.tls, Username: user, Password: password, Logger: zap.NewNop(),
	})
}

// Root returns a client that may do everything, closed at the test's end.
func (c *EtcdCluster) Root(t testing.TB) *clientv3.Client {
	t.Helper()
	user, password := "", ""
	if c.authOn {
		user, password = etcdRoot, etcdRootPassword
	}
	client, err := c.dial(-1, user, password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close the client of etcd's root: %v", err)
		}
	})
	return client
}

// enableAuth makes the users and switches authentication on.
func (c *EtcdCluster) enableAuth(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startBudget)
	defer cancel()
	client, err := c.dial(-1, "", "")
	if err != nil {
		t.Fatal(err)
	}
	prefix := strings.Trim(c.options.Prefix, "/") + "/" // as etcdkv makes its keys
	steps := []func() error{
		func() error { _, err := client.UserAdd(ctx, etcdRoot, etcdRootPassword); return err },
		func() error { _, err := client.UserGrantRole(ctx, etcdRoot, etcdRoot); return err },
		func() error { _, err := client.RoleAdd(ctx, EtcdUser); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, EtcdUser, prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.UserAdd(ctx, EtcdUser, EtcdPassword); return err },
		func() error { _, err := client.UserGrantRole(ctx, EtcdUser, EtcdUser); return err },
		func() error { _, err := client.AuthEnable(ctx); return err },
		client.Close,
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("switch etcd's authentication on, step %d: %v", i+1, err)
		}
	}
	c.authOn = true
}

// poll waits until check succeeds.
func (c *EtcdCluster) poll(t testing.TB, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startBudget)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s: %v", startBudget, what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
