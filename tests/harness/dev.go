package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"drumlin/internal/testkit"
)

// startBudget is how long a start may take, from the process's begin to healthy.
const startBudget = 30 * time.Second

// raceVariable names the environment variable that asks for a binary with the race detector.
const raceVariable = "DRUMLIN_TEST_RACE"

// Dev is one `drumlin dev` with its own directory and ports, which stay the same over restarts.
type Dev struct {
	HTTP    string // host:port
	Kafka   string // host:port
	DataDir string
	Args    []string // further arguments of drumlin dev

	binary string
	log    *tail
	cmd    *exec.Cmd
	exited chan error
}

// Main builds the binary, sets its path and runs the tests of a package. It returns the exit code for os.Exit.
func Main(m *testing.M, binary *string) int {
	path, remove, err := buildBinary()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	*binary = path
	return m.Run()
}

// buildBinary builds cmd/drumlin into a directory of this run and returns its path. With DRUMLIN_TEST_RACE set it is built
// with the race detector, and a race ends the process that has it.
func buildBinary() (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "drumlin-bin-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "drumlin")
	args := []string{"build", "-o", path}
	if os.Getenv(raceVariable) != "" {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "drumlin/cmd/drumlin")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return path, func() { _ = os.RemoveAll(dir) }, nil
}

// New prepares a dev process; Start starts it. The process is killed at the test's end; its last log lines are shown
// where the test failed.
func New(t testing.TB, binary string, args ...string) *Dev {
	t.Helper()
	d := &Dev{
		HTTP: freeAddress(t), Kafka: freeAddress(t), DataDir: t.TempDir(), Args: args, binary: binary, log: &tail{},
	}
	t.Cleanup(func() {
		d.Kill(t)
		if t.Failed() {
			t.Logf("the last log lines of drumlin dev:\n%s", d.log)
		}
	})
	return d
}

// Started is New and Start.
func Started(t testing.TB, binary string, args ...string) *Dev {
	t.Helper()
	d := New(t, binary, args...)
	d.Start(t)
	return d
}

// Launch starts the process and does not wait.
func (d *Dev) Launch(t testing.TB) {
	t.Helper()
	args := append([]string{"dev", "--data-dir", d.DataDir, "--http", d.HTTP, "--kafka", d.Kafka}, d.Args...)
	d.cmd = exec.Command(d.binary, args...)
	d.cmd.Dir = testkit.RepoRoot(t)
	d.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("start drumlin dev: %v", err)
	}
	exited := make(chan error, 1)
	cmd := d.cmd
	go func() { exited <- cmd.Wait() }()
	d.exited = exited
}

// Start starts the process and waits until it is healthy. It returns how long that took.
func (d *Dev) Start(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	d.Launch(t)
	d.WaitHealthy(t)
	return time.Since(begin)
}

// WaitHealthy waits for /status/health to answer 200.
func (d *Dev) WaitHealthy(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startBudget)
	defer cancel()
	last := "no answer"
	for {
		status, body, err := d.Get(ctx, "/status/health")
		if err == nil && status == http.StatusOK {
			return
		}
		if err == nil {
			last = fmt.Sprintf("%d %s", status, body)
		}
		select {
		case exit := <-d.exited:
			d.exited <- exit
			t.Fatalf("drumlin dev ended before it was healthy: %v\n%s", exit, d.log)
		case <-ctx.Done():
			t.Fatalf("drumlin dev is not healthy after %s: %s\n%s", startBudget, last, d.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends the process with SIGKILL, if it runs, and waits for its end.
func (d *Dev) Kill(t testing.TB) {
	t.Helper()
	if d.cmd == nil {
		return
	}
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("kill drumlin dev: %v", err)
	}
	<-d.exited
	d.cmd = nil
}

// WaitEnd waits until the process has ended by itself.
func (d *Dev) WaitEnd(t testing.TB) {
	t.Helper()
	select {
	case exit := <-d.exited:
		d.exited <- exit
	case <-time.After(startBudget):
		t.Fatalf("drumlin dev still runs after %s", startBudget)
	}
}

// Stop ends the process with SIGTERM and requires that it exits with 0.
func (d *Dev) Stop(t testing.TB) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop drumlin dev: %v", err)
	}
	select {
	case err := <-d.exited:
		d.cmd = nil
		if err != nil {
			t.Fatalf("drumlin dev did not exit with 0 after SIGTERM: %v\n%s", err, d.log)
		}
	case <-time.After(startBudget):
		t.Fatalf("drumlin dev still runs %s after SIGTERM\n%s", startBudget, d.log)
	}
}

// Log returns the newest part of what the process wrote.
func (d *Dev) Log() string { return d.log.String() }

// Run runs a verb of the command line against this process.
func (d *Dev) Run(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(d.binary, args...)
	cmd.Dir = testkit.RepoRoot(t)
	cmd.Env = append(os.Environ(), "DRUMLIN_SERVER=http://"+d.HTTP, "DRUMLIN_BROKERS="+d.Kafka)
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
func (d *Dev) MustRun(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, code := d.Run(t, "", args...)
	if code != 0 {
		t.Fatalf("drumlin %v exited with %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tail keeps the newest part of a log.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailBytes = 32 << 10

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.data = append(w.data, p...)
	if over := len(w.data) - tailBytes; over > tailBytes {
		w.data = append(w.data[:0], w.data[over:]...)
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.data)
}
