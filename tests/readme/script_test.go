package readme

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestScriptsShareATerminalAndLeaveNothingBehind(t *testing.T) {
	dir, pid := t.TempDir(), 0
	t.Run("session", func(t *testing.T) {
		s := &session{t: t, dir: dir, env: os.Environ(), here: strings.NewReplacer(), there: strings.NewReplacer()}
		s.script(t, block{line: 1, body: "export GREETING='a  b'\nserve() { sleep 600 & echo $! > \"$1.pid\"; }"})
		s.script(t, block{line: 2, body: "serve one"})
		printed, code := s.run(t, `cat one.pid; echo "$GREETING"`)
		number, greeting, _ := strings.Cut(printed, "\n")
		if code != 0 || greeting != "a  b\n" {
			t.Fatalf("exit code %d, printed %q", code, printed)
		}
		var err error
		if pid, err = strconv.Atoi(number); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("what a script has started in the background does not go on: %v", err)
		}
		s.script(t, block{line: 3, body: "unset GREETING"})
		if printed, _ := s.run(t, `echo "<$GREETING>"`); printed != "<>\n" {
			t.Errorf("an unset variable is still there: %q", printed)
		}
	})
	if _, err := os.Stat(filepath.Join(dir, exported)); err != nil || pid == 0 {
		t.Fatalf("the session has not run: %v", err)
	}
	for deadline := time.Now().Add(killBudget); ; time.Sleep(10 * time.Millisecond) {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d of a script outlives its session", pid)
		}
	}
}
