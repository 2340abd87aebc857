package peer

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"drumlin/catalog"
	"drumlin/internal/secure"
	"drumlin/internal/testkit"
	"drumlin/segment"
)

const (
	peerSecret  secure.Secret = "peer-secret-0123456789"
	readSecret  secure.Secret = "read-secret-0123456789"
	wrongSecret secure.Secret = "wrong-secret-012345678"
)

func access(t *testing.T) *secure.Access {
	t.Helper()
	a, err := secure.NewAccess([]secure.Token{
		{Name: "peer", Role: secure.RoleAdmin, Secret: peerSecret}, {Name: "dashboard", Role: secure.RoleRead, Secret: readSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func certificates(t *testing.T, ca *testkit.CA) (server, client *tls.Config) {
	t.Helper()
	pair := ca.Server(t, "node")
	server, err := secure.ServerTLS{CertFile: pair.CertFile, KeyFile: pair.KeyFile}.Config()
	if err != nil {
		t.Fatal(err)
	}
	if client, err = (secure.ClientTLS{CAFile: ca.File}).Config(); err != nil {
		t.Fatal(err)
	}
	return server, client
}

func TestOnlyThePeerTokenIsLetIn(t *testing.T) {
	serverTLS, clientTLS := certificates(t, testkit.NewCA(t))
	for _, encrypted := range []bool{true, false} {
		o := ServerOptions{Access: access(t)}
		var client *tls.Config
		if encrypted {
			o.TLS, client = serverTLS, clientTLS
		}
		address := serve(t, o)
		for token, want := range map[secure.Secret]error{
			peerSecret: nil, readSecret: secure.ErrForbidden, wrongSecret: secure.ErrUnauthenticated, "": secure.ErrUnauthenticated,
		} {
			c := ask(t, ClientOptions{TLS: client, Token: token})
			_, err := c.Status(t.Context(), address, []catalog.PartitionKey{key})
			if !errors.Is(err, want) {
				t.Errorf("encrypted: %t, token %q: %v", encrypted, token.Reveal(), err)
			}
			if err != nil && token != "" && strings.Contains(err.Error(), token.Reveal()) {
				t.Errorf("the token is in the error: %v", err)
			}
			if _, err := c.Hot(t.Context(), address, segment.HotRequest{Supervisor: "s", Topic: "t"}); want != nil && !errors.Is(err, want) {
				t.Errorf("encrypted: %t, token %q: %v", encrypted, token.Reveal(), err)
			}
		}
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	serverTLS, clientTLS := certificates(t, testkit.NewCA(t))
	_, stranger := certificates(t, testkit.NewCA(t))
	address := serve(t, ServerOptions{TLS: serverTLS})
	for what, o := range map[string]ClientOptions{"another authority": {TLS: stranger}, "plain text": {}} {
		o.SilentAfter = time.Second
		if _, err := ask(t, o).Status(t.Context(), address, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ask(t, ClientOptions{TLS: clientTLS}).Status(t.Context(), address, nil); err != nil {
		t.Error(err)
	}
}

// Processes may have to show certificates themselves.
func TestBothSidesShowCertificates(t *testing.T) {
	ca := testkit.NewCA(t)
	pair := ca.Server(t, "node")
	server, err := secure.ServerTLS{CertFile: pair.CertFile, KeyFile: pair.KeyFile, ClientCAFile: ca.File}.Config()
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, ServerOptions{TLS: server})
	for what, o := range map[string]secure.ClientTLS{
		"with":    {CAFile: ca.File, CertFile: pair.CertFile, KeyFile: pair.KeyFile},
		"without": {CAFile: ca.File},
	} {
		client, err := o.Config()
		if err != nil {
			t.Fatal(err)
		}
		_, err = ask(t, ClientOptions{TLS: client}).Status(t.Context(), address, nil)
		if want := what == "without"; errors.Is(err, ErrUnreachable) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Without TLS the token stays on this machine, unless its owner says otherwise.
func TestTokenDoesNotLeaveThisMachineInPlainText(t *testing.T) {
	c := ask(t, ClientOptions{Token: peerSecret})
	for _, address := range []string{"192.0.2.1:9", "node-2:9", "[2001:db8::1]:9", "127.0.0.1.example:9"} {
		if _, err := c.Status(t.Context(), address, nil); !errors.Is(err, ErrPlainToken) || strings.Contains(err.Error(), peerSecret.Reveal()) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:1", "localhost:1", "[::1]:1"} {
		if _, err := c.Status(t.Context(), address, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Container platforms ask for health without a token.
func TestHealthIsOpen(t *testing.T) {
	address := serve(t, ServerOptions{Access: access(t)})
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	reply, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || reply.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", reply, err)
	}
}

// A token counts as a bearer's, shown once: not under another scheme, bare, or beside another.
func TestWaysToShowTheToken(t *testing.T) {
	g := &guard{access: access(t)}
	secret := peerSecret.Reveal()
	for _, c := range []struct {
		shown []string
		in    bool
	}{
		{[]string{"Bearer " + secret}, true},
		{[]string{secret}, false},
		{[]string{"Basic " + secret}, false},
		{[]string{"Bearer " + strings.ToUpper(secret)}, false},
		{[]string{"Bearer " + secret + " "}, false},
		{[]string{"Bearer " + secret, "Bearer " + secret}, false},
		{[]string{"Bearer "}, false},
		{nil, false},
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{tokenKey: c.shown})
		if err := g.admit(ctx, "any"); (err == nil) != c.in || err != nil && !errors.Is(err, secure.ErrUnauthenticated) {
			t.Errorf("%q: %v", c.shown, err)
		}
	}
	if err := g.admit(t.Context(), "any"); !errors.Is(err, secure.ErrUnauthenticated) {
		t.Errorf("without metadata: %v", err)
	}
}
