package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stopBudget is how long a process may take to end after SIGTERM.
const stopBudget = time.Minute

// Process is one child process: it dies with the test binary, its newest output is kept, and it can be started again after
// its end. It serves one goroutine, but for Log and Answering.
type Process struct {
	Name string // for messages

	log    *tail
	cmd    *exec.Cmd
	exited chan error // holds the result of Wait once the process has ended
	up     atomic.Bool
}

func newProcess(name string) *Process { return &Process{Name: name, log: &tail{}} }

// launch starts the process and does not wait for anything.
func (p *Process) launch(t testing.TB, dir string, env []string, path string, args ...string) {
	t.Helper()
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		t.Fatalf("start %s: %v", p.Name, err)
	}
	exited := make(chan error, 1)
	cmd := p.cmd
	go func() { exited <- cmd.Wait() }()
	p.exited = exited
	p.up.Store(true)
}

// Running says whether the process was started and was not ended by the test; a paused one runs.
func (p *Process) Running() bool { return p.cmd != nil }

// Answering says whether the process runs, is not paused and was not asked to end.
func (p *Process) Answering() bool { return p.up.Load() }

// PID is the process's number; it must run.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// ended returns the result of a process that ended by itself.
func (p *Process) ended() (error, bool) {
	select {
	case err := <-p.exited:
		p.exited <- err
		return err, true
	default:
		return nil, false
	}
}

func (p *Process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if p.cmd == nil {
		t.Fatalf("%s does not run, so it cannot get %s", p.Name, s)
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("send %s to %s: %v", s, p.Name, err)
	}
}

// Kill ends the process with SIGKILL, if it runs, and waits for its end.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	p.up.Store(false)
	p.signal(t, syscall.SIGKILL)
	<-p.exited
	p.cmd = nil
}

// Pause stops the process with SIGSTOP and waits until all of it stands still.
func (p *Process) Pause(t testing.TB) {
	t.Helper()
	p.up.Store(false)
	p.signal(t, syscall.SIGSTOP)
	deadline := time.Now().Add(stopBudget)
	for p.state(t) != 'T' {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not stop at SIGSTOP", p.Name)
		}
		time.Sleep(time.Millisecond)
	}
}

// Continue lets a paused process go on.
func (p *Process) Continue(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
	p.up.Store(true)
}

// Terminate sends SIGTERM and does not wait.
func (p *Process) Terminate(t testing.TB) {
	t.Helper()
	p.up.Store(false)
	p.signal(t, syscall.SIGTERM)
}

// Stop ends the process with SIGTERM and requires that it exits with 0. It returns how long that took.
func (p *Process) Stop(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	p.Terminate(t)
	p.WaitExit(t)
	return time.Since(begin)
}

// WaitExit waits for the end of a process that was asked to end, and requires that it exits with 0.
func (p *Process) WaitExit(t testing.TB) {
	t.Helper()
	select {
	case err := <-p.exited:
		p.cmd = nil
		if err != nil {
			t.Fatalf("%s did not exit with 0 after SIGTERM: %v\n%s", p.Name, err, p.log.lastWords())
		}
	case <-time.After(stopBudget):
		t.Fatalf("%s still runs %s after SIGTERM\n%s", p.Name, stopBudget, p.log.lastWords())
	}
}

// WaitEnd waits until the process has ended by itself.
func (p *Process) WaitEnd(t testing.TB) {
	t.Helper()
	select {
	case exit := <-p.exited:
		p.exited <- exit
	case <-time.After(startBudget):
		t.Fatalf("%s still runs after %s", p.Name, startBudget)
	}
}

// Log returns the newest part of what the process wrote.
func (p *Process) Log() string { return p.log.String() }

// stat returns the fields of /proc/PID/stat from the state on (field 3 of proc(5)).
func (p *Process) stat(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatalf("read the state of %s: %v", p.Name, err)
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the name before may hold blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		t.Fatalf("the state of %s is %q", p.Name, data)
	}
	return fields
}

func (p *Process) state(t testing.TB) byte { return p.stat(t)[0][0] }

// ticksPerSecond is the unit of CPU times in /proc on every Linux that Go runs on.
const ticksPerSecond = 100

// CPUSeconds is the processor time that the process has used, in its own code and in the kernel.
func (p *Process) CPUSeconds(t testing.TB) float64 {
	t.Helper()
	fields, ticks := p.stat(t), int64(0)
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatalf("the processor time of %s: %v", p.Name, err)
		}
		ticks += n
	}
	return float64(ticks) / ticksPerSecond
}
