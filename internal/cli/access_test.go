package cli

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drumlin/api"
	"drumlin/internal/secure"
	"drumlin/internal/testkit"
)

const (
	readToken  = "reader-reader-reader"
	adminToken = "admin-admin-admin-admin"
)

// startSecured serves one supervisor to two tokens over TLS.
func startSecured(t *testing.T, ca *testkit.CA) string {
	t.Helper()
	access, err := secure.NewAccess([]secure.Token{
		{Name: "dash", Role: secure.RoleRead, Secret: readToken}, {Name: "ops", Role: secure.RoleAdmin, Secret: adminToken},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{list: []api.Supervisor{{ID: "events", State: "RUNNING", Spec: []byte(`{}`)}}}
	handler, err := api.New(api.Options{Supervisors: s, Controls: s, Access: access, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	pair := ca.Server(t, "server")
	config, err := secure.ServerTLS{CertFile: pair.CertFile, KeyFile: pair.KeyFile}.Config()
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(handler)
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	web.Listener = tls.NewListener(web.Listener, config) // httptest would show a certificate of its own
	web.Start()
	t.Cleanup(web.Close)
	return "https://" + web.Listener.Addr().String()
}

// runAs runs a command in an environment.
func runAs(environment map[string]string, args ...string) outcome {
	var stdout, stderr strings.Builder
	env := NewEnv(strings.NewReader(""), &stdout, &stderr)
	env.Getenv = func(name string) string { return environment[name] }
	root := NewRoot(env, "test")
	root.SetArgs(args)
	code := Report(&stderr, root.Execute())
	return outcome{stdout.String(), stderr.String(), code}
}

func TestTokensAndAuthorities(t *testing.T) {
	ca := testkit.NewCA(t)
	url := startSecured(t, ca)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(adminToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(pairs ...string) map[string]string {
		out := map[string]string{serverVariable: url, caVariable: ca.File}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	for _, c := range []struct {
		name        string
		environment map[string]string
		args        []string
		code        int
		stderr      string // a part; empty: nothing at all
	}{
		{"token of the environment", env(tokenVariable, readToken), []string{"get", "events"}, 0, ""},
		{"token of a file wins", env(tokenVariable, readToken), []string{"suspend", "events", "--token-file", file}, 0, ""},
		{"flag for the authority", env(tokenVariable, readToken, caVariable, ""), []string{"get", "events", "--ca-file", ca.File}, 0, ""},
		{"no token", env(), []string{"get", "events"}, 1, "drumlin: This server wants a token, and the request shows none.\nhint: set DRUMLIN_TOKEN, or name a file that holds the token with --token-file\n"},
		{"unknown token", env(tokenVariable, "stranger-stranger"), []string{"get", "events"}, 1, "does not know the token"},
		{"role too low", env(tokenVariable, readToken), []string{"suspend", "events"}, 1, `needs a token with the role admin; the token "dash" has the role read`},
		{"no authority", env(tokenVariable, readToken, caVariable, ""), []string{"get", "events"}, 3, "--ca-file"},
		{"authority file missing", env(caVariable, "none.pem"), []string{"get", "events"}, 2, "none.pem"},
		{"half a certificate", env(), []string{"get", "events", "--cert-file", ca.File}, 2, "key file"},
		{"token that no header carries", env(tokenVariable, "two words"), []string{"get", "events"}, 2, tokenVariable},
		{"a token is no flag", env(), []string{"get", "events", "--token", readToken}, 2, "unknown flag"},
	} {
		o := runAs(c.environment, c.args...)
		if o.code != c.code || !strings.Contains(o.stderr, c.stderr) || c.stderr == "" && o.stderr != "" {
			t.Errorf("%s: code %d, %s", c.name, o.code, o.stderr)
		}
		for _, secret := range []string{readToken, adminToken, "stranger", "two words"} {
			if strings.Contains(o.stdout+o.stderr, secret) && c.name != "a token is no flag" {
				t.Errorf("%s: the output shows a token: %s%s", c.name, o.stdout, o.stderr)
			}
		}
	}
}

// TestExposedTokensAreWarnedOf: once a command, and only where others can read along.
func TestExposedTokensAreWarnedOf(t *testing.T) {
	for server, warned := range map[string]bool{
		"http://10.0.0.1:1": true, "http://drumlin.example": true, "https://10.0.0.1:1": false, "http://127.0.0.1:1": false,
		"http://[::1]:1": false, "http://localhost:1": false, "10.0.0.1:1": true,
	} {
		for _, token := range []string{readToken, ""} {
			var stderr strings.Builder
			env := NewEnv(strings.NewReader(""), io.Discard, &stderr)
			env.Getenv = func(name string) string { return map[string]string{serverVariable: server, tokenVariable: token}[name] }
			for range 2 {
				c, err := env.Client()
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
			if want := warned && token != ""; strings.Count(stderr.String(), "warning") != map[bool]int{true: 1}[want] {
				t.Errorf("%s with token %t: %q", server, token != "", &stderr)
			}
			if strings.Contains(stderr.String(), readToken) {
				t.Errorf("the warning shows the token")
			}
		}
	}
}

// TestTokensDoNotFollowRedirects: a server that sends elsewhere gets no second request.
func TestTokensDoNotFollowRedirects(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(elsewhere.Close)
	web := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(web.Close)
	if o := runAs(map[string]string{serverVariable: web.URL, tokenVariable: readToken}, "get", "events"); o.code != 1 || asked != 0 {
		t.Errorf("code %d, %d requests elsewhere, %s", o.code, asked, o.stderr)
	}
}
