package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stepTB is a test's t for a step that runs in a goroutine of its own: what ends the test ends the step, and the test when
// pass is called.
type stepTB struct {
	testing.TB

	message         string
	failed, skipped bool
}

func (s *stepTB) run(step func(t testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		step(s)
	}()
	<-done
}

// pass ends the test as the step ended.
func (s *stepTB) pass(t testing.TB) {
	t.Helper()
	switch {
	case s.failed:
		t.Fatal(s.message)
	case s.skipped:
		t.Skip(s.message)
	}
}

func (s *stepTB) FailNow() {
	s.failed = true
	runtime.Goexit()
}

func (s *stepTB) SkipNow() {
	s.skipped = true
	runtime.Goexit()
}

func (s *stepTB) end(message string, how func()) {
	s.message = strings.TrimSuffix(message, "\n")
	how()
}

func (s *stepTB) Fatal(args ...any)                 { s.end(fmt.Sprintln(args...), s.FailNow) }
func (s *stepTB) Fatalf(format string, args ...any) { s.end(fmt.Sprintf(format, args...), s.FailNow) }
func (s *stepTB) Skip(args ...any)                  { s.end(fmt.Sprintln(args...), s.SkipNow) }
func (s *stepTB) Skipf(format string, args ...any)  { s.end(fmt.Sprintf(format, args...), s.SkipNow) }

// packageTB is the t of what lives as long as a package's tests. Only what starters use is there; what ends a test ends the
// step in which it happens.
type packageTB struct {
	testing.TB // nil

	dir string

	mu       sync.Mutex
	cleanups []func()
	failed   bool
}

func (p *packageTB) Helper()                           {}
func (p *packageTB) Name() string                      { return "shared parts" }
func (p *packageTB) Context() context.Context          { return context.Background() }
func (p *packageTB) Log(args ...any)                   { fmt.Fprintln(os.Stderr, args...) }
func (p *packageTB) Logf(format string, args ...any)   { p.Log(fmt.Sprintf(format, args...)) }
func (p *packageTB) Error(args ...any)                 { p.Log(args...); p.fail() }
func (p *packageTB) Errorf(format string, args ...any) { p.Error(fmt.Sprintf(format, args...)) }

func (p *packageTB) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = true
}

func (p *packageTB) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *packageTB) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *packageTB) Fatal(args ...any)                 { p.Error(args...); runtime.Goexit() }
func (p *packageTB) Fatalf(format string, args ...any) { p.Fatal(fmt.Sprintf(format, args...)) }

// TempDir is a directory that goes when all cleanups have run.
func (p *packageTB) TempDir() string {
	dir, err := os.MkdirTemp(p.dir, "")
	if err != nil {
		p.Fatal(err)
	}
	return dir
}

// end runs the cleanups, the last one first.
func (p *packageTB) end() error {
	p.mu.Lock()
	cleanups := p.cleanups
	p.mu.Unlock()
	for _, cleanup := range slices.Backward(cleanups) {
		step := &stepTB{TB: p}
		step.run(func(testing.TB) { cleanup() })
	}
	if p.Failed() {
		return errors.New("what the tests shared did not start or end as it must")
	}
	return nil
}
