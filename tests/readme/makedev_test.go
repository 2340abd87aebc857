package readme

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"drumlin/internal/testkit"
)

// The addresses that the documents name.
const (
	documentedHTTP  = "127.0.0.1:8888"
	documentedKafka = "127.0.0.1:9092"
)

// makeBudget is for building and starting.
const makeBudget = 10 * time.Minute

// TestMakeDev starts a server as the README says, with other ports and another directory, so that it disturbs nobody on
// this machine, and ends it as Ctrl-C does.
func TestMakeDev(t *testing.T) {
	plain, err := exec.Command("make", "-s", "-n", "-C", testkit.RepoRoot(t), "dev").Output()
	if err != nil {
		t.Fatalf("make -n dev: %v", err)
	}
	if !strings.HasSuffix(strings.TrimSpace(string(plain)), "\nbin/drumlin dev") {
		t.Errorf("make dev does not run bin/drumlin dev without arguments:\n%s", plain)
	}
	httpAddress, kafkaAddress, dir := testkit.FreeAddress(t), testkit.FreeAddress(t), t.TempDir()
	cmd := exec.Command("make", "-C", testkit.RepoRoot(t), "dev",
		"ARGS=--data-dir "+dir+" --http "+httpAddress+" --kafka "+kafkaAddress)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	logPath := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(logPath)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	signal := func(s syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, s) } // a group that has gone needs none
	defer signal(syscall.SIGKILL)
	waitFor(t, "http://"+httpAddress+"/status/health", exited, logPath)
	signal(syscall.SIGINT)
	select {
	case <-exited: // make's own exit code after an interrupt says nothing of the server's
	case <-time.After(time.Minute):
		t.Fatalf("make dev still runs a minute after Ctrl-C\n%s", readLog(t, logPath))
	}
	out := readLog(t, logPath)
	for _, want := range []string{"drumlin dev runs every role", httpAddress, kafkaAddress, "stopping"} {
		if !strings.Contains(out, want) {
			t.Errorf("make dev did not print %q:\n%s", want, out)
		}
	}
	if listener, err := net.Listen("tcp", httpAddress); err != nil {
		t.Errorf("the server still listens after Ctrl-C: %v", err)
	} else if err := listener.Close(); err != nil {
		t.Error(err)
	}
}

// TestDefaultAddresses holds the documented addresses to the defaults.
func TestDefaultAddresses(t *testing.T) {
	for verb, want := range map[string]string{"dev": documentedHTTP, "sql": "http://" + documentedHTTP, "produce": documentedKafka} {
		if help := helpOf(t, verb); !strings.Contains(help, want) {
			t.Errorf("drumlin %s --help does not name %s:\n%s", verb, want, help)
		}
	}
	if help := helpOf(t, "dev"); !strings.Contains(help, documentedKafka) {
		t.Errorf("drumlin dev --help does not name %s:\n%s", documentedKafka, help)
	}
}

func waitFor(t *testing.T, url string, exited <-chan error, logPath string) {
	t.Helper()
	deadline := time.After(makeBudget)
	for {
		if res, err := http.Get(url); err == nil {
			_, readErr := io.Copy(io.Discard, res.Body)
			if err := res.Body.Close(); err != nil || readErr != nil {
				t.Fatalf("read %s: %v, %v", url, readErr, err)
			}
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-exited:
			t.Fatalf("make dev ended: %v\n%s", err, readLog(t, logPath))
		case <-deadline:
			t.Fatalf("no answer from %s after %s\n%s", url, makeBudget, readLog(t, logPath))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func readLog(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// helpOf is the help text of a verb, which may be of two words.
func helpOf(t *testing.T, verb string) string {
	t.Helper()
	cmd := exec.Command(binary, append(strings.Fields(verb), "--help")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("drumlin %s --help: %v\n%s", verb, err, out.String())
	}
	return out.String()
}
