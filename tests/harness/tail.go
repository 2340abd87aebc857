package harness

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// tail keeps the newest part of a log.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailBytes = 256 << 10

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

// Of a failed test's output the end is what people see: each process may say only so much in it.
const (
	mostTroubles  = 4   // newest lines that tell of trouble
	mostLines     = 2   // newest lines, whatever they tell
	mostLineBytes = 300 // of a line
)

// troubled finds lines that tell of trouble in the logs of drumlin, of Kafka and of etcd, and those of a program that breaks.
var troubled = regexp.MustCompile(`level=(WARN|ERROR)|^\d+ (WARN|ERROR|FATAL) |"level":"(warn|error|fatal|panic)"|^(panic|fatal error): |DATA RACE`)

// lastWords are the newest troubles, and the newest lines behind them.
func (w *tail) lastWords() string {
	lines := strings.Split(strings.TrimRight(w.String(), "\n"), "\n")
	end := max(0, len(lines)-mostLines)
	var out []string
	for i := end - 1; i >= 0 && len(out) < mostTroubles; i-- {
		if troubled.MatchString(lines[i]) {
			out = append([]string{lines[i]}, out...)
		}
	}
	out = append(out, lines[end:]...)
	for i, line := range out {
		if len(line) > mostLineBytes {
			out[i] = line[:mostLineBytes] + "…"
		}
	}
	return strings.Join(out, "\n")
}

// logsVariable names a directory that gets the whole newest part of each process's log where a test has failed.
const logsVariable = "DRUMLIN_TEST_LOGS"

var noFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// show tells a failed test's reader what the process said last.
func (w *tail) show(t testing.TB, process string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	t.Logf("%s said last:\n%s", process, w.lastWords())
	dir := os.Getenv(logsVariable)
	if dir == "" {
		return
	}
	name := noFileName.ReplaceAllString(t.Name()+"-"+process, "_") + ".log"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(w.String()), 0o600); err != nil {
		t.Logf("keep the log of %s: %v", process, err)
	}
}
