package secure

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drumlin/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handshake connects both ends once, and returns the common names that each saw of the other.
func handshake(server, client *tls.Config) (seenByClient, seenByServer string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer listener.Close()
	type result struct {
		name string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			done <- result{err: err}
			return
		}
		defer conn.Close()
		end := tls.Server(conn, server)
		err = end.Handshake()
		name := ""
		if chain := end.ConnectionState().PeerCertificates; len(chain) > 0 {
			name = chain[0].Subject.CommonName
		}
		if err == nil {
			_, err = end.Write([]byte("x"))
		}
		done <- result{name, err}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	client = client.Clone()
	if client.ServerName == "" {
		client.ServerName = "127.0.0.1"
	}
	end := tls.Client(conn, client)
	err = end.Handshake()
	if err == nil {
		seenByClient = end.ConnectionState().PeerCertificates[0].Subject.CommonName
		// In TLS 1.3 a client learns from its first read that the server refused it.
		_, err = io.ReadFull(end, make([]byte, 1))
	}
	conn.Close() //nolint:errcheck // the server must not wait for a client that gave up
	got := <-done
	return seenByClient, got.name, errors.Join(err, got.err)
}

func serverOf(t *testing.T, ca *testkit.CA, name string) ServerTLS {
	t.Helper()
	pair := ca.Server(t, name)
	return ServerTLS{CertFile: pair.CertFile, KeyFile: pair.KeyFile}
}

func config[C interface{ Config() (*tls.Config, error) }](t *testing.T, c C) *tls.Config {
	t.Helper()
	out, err := c.Config()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestZeroValuesHaveNoTLS(t *testing.T) {
	if config(t, ServerTLS{}) != nil || config(t, ClientTLS{}) != nil {
		t.Error("a configuration out of nothing")
	}
}

func TestServerAndClient(t *testing.T) {
	ca, other := testkit.NewCA(t), testkit.NewCA(t)
	server := config(t, serverOf(t, ca, "server"))
	if name, _, err := handshake(server, config(t, ClientTLS{CAFile: ca.File})); err != nil || name != "server" {
		t.Errorf("%q, %v", name, err)
	}
	for what, client := range map[string]ClientTLS{
		"another authority": {CAFile: other.File}, "another name": {CAFile: ca.File, ServerName: "elsewhere"},
	} {
		if _, _, err := handshake(server, config(t, client)); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	if _, _, err := handshake(server, config(t, ClientTLS{InsecureSkipVerify: true})); err != nil {
		t.Error(err)
	}
	old := config(t, ClientTLS{CAFile: ca.File})
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, _, err := handshake(server, old); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestClientCertificates(t *testing.T) {
	ca, clients, other := testkit.NewCA(t), testkit.NewCA(t), testkit.NewCA(t)
	s := serverOf(t, ca, "server")
	s.ClientCAFile = clients.File
	server := config(t, s)
	known := clients.Client(t, "known")
	if _, name, err := handshake(server, config(t, ClientTLS{CAFile: ca.File, CertFile: known.CertFile, KeyFile: known.KeyFile})); err != nil || name != "known" {
		t.Errorf("%q, %v", name, err)
	}
	unknown := other.Client(t, "unknown")
	for what, client := range map[string]ClientTLS{
		"none": {CAFile: ca.File}, "unknown": {CAFile: ca.File, CertFile: unknown.CertFile, KeyFile: unknown.KeyFile},
	} {
		if _, _, err := handshake(server, config(t, client)); err == nil {
			t.Errorf("a client with the certificate %q is accepted", what)
		}
	}
}

func TestFilesAreRefusedAtTheStart(t *testing.T) {
	ca := testkit.NewCA(t)
	a, b := ca.Server(t, "a"), ca.Server(t, "b")
	for _, c := range []interface{ Config() (*tls.Config, error) }{
		ServerTLS{CertFile: a.CertFile},
		ServerTLS{ClientCAFile: ca.File},
		ServerTLS{CertFile: a.CertFile, KeyFile: b.KeyFile},
		ServerTLS{CertFile: a.CertFile, KeyFile: a.KeyFile, ClientCAFile: a.KeyFile},
		ServerTLS{CertFile: "none", KeyFile: a.KeyFile},
		ClientTLS{CAFile: a.KeyFile},
		ClientTLS{CAFile: "none"},
		ClientTLS{CertFile: a.CertFile},
		ClientTLS{CertFile: a.CertFile, KeyFile: b.KeyFile},
	} {
		if got, err := c.Config(); err == nil || got != nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// changed puts other content into a file, with a time that tells it from what was there.
func changed(t *testing.T, path string, data []byte, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRotation replaces certificate and authorities file by file below a running server, with broken states between.
func TestRotation(t *testing.T) {
	ca := testkit.NewCA(t)
	first, second := ca.Server(t, "first"), ca.Server(t, "second")
	reports := make(chan error, 10)
	server := config(t, reporting{ServerTLS{CertFile: first.CertFile, KeyFile: first.KeyFile}, func(err error) { reports <- err }})
	client := config(t, ClientTLS{CAFile: ca.File})
	now := time.Now()
	seen := func() string {
		t.Helper()
		name, _, err := handshake(server, client)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	changed(t, first.CertFile, contents(t, second.CertFile), now.Add(time.Second))
	var report error
	for deadline := now.Add(time.Minute); report == nil && time.Now().Before(deadline); {
		if name := seen(); name != "first" {
			t.Fatalf("half a rotation shows %q", name)
		}
		select {
		case report = <-reports:
		case <-time.After(50 * time.Millisecond):
		}
	}
	if report == nil || !strings.Contains(report.Error(), first.CertFile) {
		t.Fatalf("reported: %v", report)
	}
	changed(t, first.KeyFile, contents(t, second.KeyFile), now.Add(2*time.Second))
	for deadline := time.Now().Add(time.Minute); seen() != "second"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not shown")
		}
	}
	if len(reports) != 0 {
		t.Errorf("the same failure was reported again: %v", <-reports)
	}
}

type reporting struct {
	ServerTLS
	report func(error)
}

func (r reporting) Config() (*tls.Config, error) { return r.ConfigReporting(r.report) }

func TestRotationOfAuthoritiesAndClient(t *testing.T) {
	ca, old, fresh := testkit.NewCA(t), testkit.NewCA(t), testkit.NewCA(t)
	s := serverOf(t, ca, "server")
	s.ClientCAFile = old.File
	server := config(t, s)
	before, after := old.Client(t, "before"), fresh.Client(t, "after")
	client := config(t, ClientTLS{CAFile: ca.File, CertFile: before.CertFile, KeyFile: before.KeyFile})
	resuming := client.Clone()
	resuming.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	if _, name, err := handshake(server, resuming); err != nil || name != "before" {
		t.Fatalf("%q, %v", name, err)
	}
	at := time.Now().Add(time.Second)
	changed(t, old.File, contents(t, fresh.File), at)
	deadline := time.Now().Add(time.Minute)
	for { // a session that could be resumed is refused too
		if _, _, err := handshake(server, resuming); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an authority that is gone is still trusted")
		}
		time.Sleep(50 * time.Millisecond)
	}
	changed(t, before.CertFile, contents(t, after.CertFile), at)
	changed(t, before.KeyFile, contents(t, after.KeyFile), at)
	for {
		if _, name, err := handshake(server, client); err == nil && name == "after" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the client's new certificate is not shown")
		}
		time.Sleep(50 * time.Millisecond)
	}
}
