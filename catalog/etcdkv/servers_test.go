package etcdkv_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"drumlin/catalog/etcdkv"
	"drumlin/internal/testkit"
)

// member is one etcd in this process, whose data and addresses stay over restarts.
type member struct {
	config func() *embed.Config
	etcd   *embed.Etcd // nil: it does not run
	client string      // URL
}

// startMembers starts a cluster whose members' configurations are changed before, and waits until it takes requests. What
// still runs is stopped at the test's end.
func startMembers(t testing.TB, count int, change func(*embed.Config)) []*member {
	t.Helper()
	members := make([]*member, count)
	dir, names := t.TempDir(), make([]string, count)
	peers := make([]url.URL, count)
	for i := range members {
		peers[i] = freeURL(t)
		names[i] = fmt.Sprintf("m%d=%s", i, peers[i].String())
	}
	for i := range members {
		client := freeURL(t)
		members[i] = &member{config: func() *embed.Config {
			c := embed.NewConfig()
			c.Name, c.Dir, c.UnsafeNoFsync = fmt.Sprintf("m%d", i), fmt.Sprintf("%s/m%d", dir, i), true
			c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
			c.TickMs, c.ElectionMs = 20, 200
			c.BcryptCost = 4
			c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
			c.ListenPeerUrls, c.AdvertisePeerUrls = peers[i:i+1], peers[i:i+1]
			c.InitialCluster = strings.Join(names, ",")
			if change != nil {
				change(c)
			}
			return c
		}}
	}
	t.Cleanup(func() {
		for _, m := range members {
			m.kill()
		}
	})
	for _, m := range members {
		m.begin(t)
	}
	for _, m := range members {
		m.wait(t)
	}
	return members
}

// begin starts the member; it need not be able to answer.
func (m *member) begin(t testing.TB) {
	t.Helper()
	config := m.config()
	m.client = config.ListenClientUrls[0].String()
	var err error
	if m.etcd, err = embed.StartEtcd(config); err != nil {
		t.Fatalf("start etcd: %v", err)
	}
}

func (m *member) wait(t testing.TB) {
	t.Helper()
	select {
	case <-m.etcd.Server.ReadyNotify():
	case <-time.After(time.Minute):
		t.Fatal("etcd is not ready")
	}
}

// kill stops the member without a word to the others.
func (m *member) kill() {
	if m.etcd == nil {
		return
	}
	m.etcd.Server.HardStop()
	m.etcd.Close()
	m.etcd = nil
}

func endpointsOf(members []*member) []string {
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = m.client
	}
	return out
}

func freeURL(t testing.TB) url.URL {
	t.Helper()
	return url.URL{Scheme: "http", Host: testkit.FreeAddress(t)}
}

// openAt opens a store that is closed at the test's end.
func openAt(t testing.TB, o etcdkv.Options) *etcdkv.Store {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = fmt.Sprintf("test/%d", prefixes.Add(1))
	}
	s, err := etcdkv.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

const (
	user     = "drumlin"
	password = "the-password-of-drumlin"
	rootPass = "the-password-of-root"
)

// secured is an etcd with TLS and authentication, whose user may touch what lies below test/ only.
type secured struct {
	*member
	options etcdkv.Options // of the user
	root    *clientv3.Client
}

func startSecured(t testing.TB, tokenLifeSeconds uint) *secured {
	t.Helper()
	ca := testkit.NewCA(t)
	server, client := ca.Server(t, "etcd"), ca.Client(t, "client")
	members := startMembers(t, 1, func(c *embed.Config) {
		c.ListenClientUrls[0].Scheme = "https"
		c.AdvertiseClientUrls = c.ListenClientUrls
		c.ClientTLSInfo.CertFile, c.ClientTLSInfo.KeyFile = server.CertFile, server.KeyFile
		c.ClientTLSInfo.TrustedCAFile, c.ClientTLSInfo.ClientCertAuth = ca.File, true
		c.AuthTokenTTL = tokenLifeSeconds
	})
	config := clientTLS(t, ca, client)
	dial := func(name, pass string) *clientv3.Client {
		c, err := clientv3.New(clientv3.Config{
			Endpoints: endpointsOf(members), TLS: config, Username: name, Password: pass, DialTimeout: time.Minute, Logger: zap.NewNop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	open := dial("", "")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i, step := range []func() error{
		func() error { _, err := open.UserAdd(ctx, "root", rootPass); return err },
		func() error { _, err := open.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := open.RoleAdd(ctx, user); return err },
		func() error {
			_, err := open.RoleGrantPermission(ctx, user, "test/", clientv3.GetPrefixRangeEnd("test/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := open.UserAdd(ctx, user, password); return err },
		func() error { _, err := open.UserGrantRole(ctx, user, user); return err },
		func() error { _, err := open.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
	return &secured{
		member: members[0], root: dial("root", rootPass),
		options: etcdkv.Options{Endpoints: endpointsOf(members), TLS: config, Username: user, Password: password},
	}
}
