package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"drumlin/internal/testkit"
)

// sqlPath is where queries are asked.
const sqlPath = "/druid/v2/sql"

// Asker talks to drumlin from outside: over HTTP, by the command line, and to the broker beside it.
type Asker struct {
	binary  string
	address func(path string) string // host:port of the process that answers the HTTP path
	brokers string                   // Kafka's host:port
}

// Get asks a path and returns status and body.
func (a *Asker) Get(ctx context.Context, path string) (int, []byte, error) {
	return a.do(ctx, http.MethodGet, path, nil, nil)
}

// Post sends a body as it is and returns status and body.
func (a *Asker) Post(ctx context.Context, path string, body []byte) (int, []byte, error) {
	return a.do(ctx, http.MethodPost, path, body, nil)
}

func (a *Asker) do(ctx context.Context, method, path string, body []byte, header *http.Header) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.address(path)+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if header != nil {
		*header = res.Header
	}
	return res.StatusCode, out, err
}

// Run runs a verb of the command line against this server.
func (a *Asker) Run(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path := "/"
	if len(args) > 0 && args[0] == "sql" {
		path = sqlPath
	}
	cmd := exec.Command(a.binary, args...)
	cmd.Dir = testkit.RepoRoot(t)
	cmd.Env = append(os.Environ(), "DRUMLIN_SERVER=http://"+a.address(path), "DRUMLIN_BROKERS="+a.brokers)
	cmd.Stdin = bytes.NewReader([]byte(stdin))
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run drumlin %v: %v", args, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// MustRun is Run for a verb that must succeed.
func (a *Asker) MustRun(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, code := a.Run(t, "", args...)
	if code != 0 {
		t.Fatalf("drumlin %v exited with %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// waitHealthy waits for /status/health to answer 200, and fails where the process ends before.
func waitHealthy(t testing.TB, p *Process, a *Asker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startBudget)
	defer cancel()
	last := "no answer"
	for {
		status, body, err := a.Get(ctx, "/status/health")
		if err == nil && status == http.StatusOK {
			return
		}
		if err == nil {
			last = fmt.Sprintf("%d %s", status, body)
		}
		if exit, ended := p.ended(); ended {
			t.Fatalf("%s ended before it was healthy: %v\n%s", p.Name, exit, p.log.lastWords())
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is not healthy after %s: %s\n%s", p.Name, startBudget, last, p.log.lastWords())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
