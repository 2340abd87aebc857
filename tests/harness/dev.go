package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"drumlin/internal/testkit"
)

// startBudget is how long a start may take, from the process's begin to healthy, however busy the machine.
const startBudget = 90 * time.Second

// Environment variables: raceVariable asks for a binary with the race detector, binaryVariable names one that has been built,
// as make does, so that not every package builds its own.
const (
	raceVariable   = "DRUMLIN_TEST_RACE"
	binaryVariable = "DRUMLIN_TEST_BINARY"
)

// Dev is one `drumlin dev` with its own directory and ports, which stay the same over restarts.
type Dev struct {
	HTTP    string // host:port
	Kafka   string // host:port
	DataDir string
	Args    []string // further arguments of drumlin dev

	Asker
	*Process
}

// raceEnv makes a binary that has the race detector end at the first race.
const raceEnv = "GORACE=halt_on_error=1"

// Main finds or builds the binary, sets its path, runs the tests of a package and ends what they shared. It returns the exit code
// for os.Exit.
func Main(m *testing.M, binary *string) int {
	path, remove, err := buildBinary()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	*binary = path
	return withSharedParts(m.Run)
}

// buildBinary builds cmd/drumlin into a directory of this run and returns its path. With DRUMLIN_TEST_RACE set it is built
// with the race detector, and a race ends the process that has it. Otherwise the one of DRUMLIN_TEST_BINARY will do.
func buildBinary() (path string, remove func(), err error) {
	if path := os.Getenv(binaryVariable); path != "" && os.Getenv(raceVariable) == "" {
		_, err := os.Stat(path)
		return path, func() {}, err
	}
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
		HTTP: testkit.FreeAddress(t), Kafka: testkit.FreeAddress(t), DataDir: t.TempDir(), Args: args, Process: newProcess("drumlin dev"),
	}
	d.Asker = Asker{binary: binary, address: func(string) string { return d.HTTP }, brokers: d.Kafka}
	t.Cleanup(func() {
		d.Kill(t)
		d.log.show(t, d.Name)
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
	d.launch(t, testkit.RepoRoot(t), append(os.Environ(), raceEnv), d.binary, args...)
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
	waitHealthy(t, d.Process, &d.Asker)
}

func splitAddress(t testing.TB, address string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
