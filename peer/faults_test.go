package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/internal/testkit"
	"drumlin/segment"
)

// A connection that is cut anywhere in an answer gives an error, never fewer rows.
func TestCutConnectionIsNeverAShortAnswer(t *testing.T) {
	rnd := seeded(t, uint64(time.Now().UnixNano()))
	local := newLocal(t, rnd, 10, 400)
	p := newProxy(t, serve(t, ServerOptions{Local: local}))
	whole, size := 0, int64(0)
	for _, m := range record(t, requestFor(local.rows), local.rows).messages {
		size += int64(len(m))
	}
	for round := range 40 {
		c := ask(t, ClientOptions{SilentAfter: patience})
		cut := rnd.Int64N(size * 5 / 4)
		switch round { // not left to chance
		case 0:
			cut = size / 2
		case 1:
			cut = 10 * (size + 10_000)
		}
		p.cutAfterBytes(cut)
		rows, err := c.Hot(t.Context(), p.address(), requestFor(local.rows))
		if err == nil {
			whole++
			sameRows(t, requestFor(local.rows), local.rows, rows)
			rows.Release()
		} else if !errors.Is(err, ErrUnreachable) {
			t.Errorf("%v", err)
		}
		c.Close()
	}
	if whole == 40 || whole == 0 {
		t.Errorf("%d of 40 answers came whole: cut elsewhere", whole)
	}
}

// A process that is stopped keeps its connections and says nothing. It is given up after SilentAfter, in the middle of an answer
// too, and asked over a new connection when it is back.
func TestSilentProcessIsGivenUp(t *testing.T) {
	t.Parallel()
	local := newLocal(t, seeded(t, 7), 3, 50)
	p := newProxy(t, serve(t, ServerOptions{Local: local}))
	c := ask(t, ClientOptions{SilentAfter: 2 * time.Second})
	good := func() {
		t.Helper()
		rows, err := c.Hot(t.Context(), p.address(), requestFor(local.rows))
		if err != nil {
			t.Fatal(err)
		}
		rows.Release()
	}
	good()
	p.kill()
	var asked sync.WaitGroup
	for what, f := range map[string]func() error{
		"hot": func() error { _, err := c.Hot(t.Context(), p.address(), requestFor(local.rows)); return err },
		"status": func() error {
			_, err := c.Status(t.Context(), p.address(), []catalog.PartitionKey{key})
			return err
		},
		"handoff": func() error { _, err := c.Handoff(t.Context(), p.address(), key, 1); return err },
	} {
		asked.Go(func() {
			begun := time.Now()
			err := f()
			if took := time.Since(begun); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), p.address()) || took > patience/2 {
				t.Errorf("%s: after %s: %v", what, took, err)
			}
		})
	}
	asked.Wait()
	before := p.connections()
	p.revive()
	good()
	if p.connections() == before {
		t.Error("the silent connection was used again")
	}
}

// A handoff that takes long is waited for, as long as its process shows that it is alive, and given up when it does not any more.
func TestLongOrdersAreWaitedFor(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 1), make(chan struct{})
	ended := make(chan error, 1)
	local := &fakeLocal{order: func(ctx context.Context, _ string) error {
		begun <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			ended <- ctx.Err()
			return ctx.Err()
		}
	}}
	p := newProxy(t, serve(t, ServerOptions{Local: local}))
	const silent = 2 * time.Second
	c := ask(t, ClientOptions{SilentAfter: silent})
	result := make(chan error, 1)
	order := func(ctx context.Context) { result <- c.AcceptLoss(ctx, p.address(), key, 1, 2) }

	go order(t.Context())
	<-begun
	select {
	case err := <-result:
		t.Fatalf("given up after less than %s of silence: %v", silent, err)
	case <-time.After(silent * 3 / 2):
	}
	release <- struct{}{}
	if err := <-result; err != nil {
		t.Errorf("%v", err)
	}

	go order(t.Context())
	<-begun
	p.kill()
	if err := <-result; !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
	p.revive()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the order that nobody waits for ended with %v", err)
	}

	// The caller's own end is his, and reaches the other side.
	ctx, cancel := context.WithCancel(t.Context())
	go order(ctx)
	<-begun
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
	<-ended
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	go order(ctx)
	if err := <-result; !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
}

// Nobody at the address, somebody who speaks something else, somebody who says nothing.
func TestAddressesWhereNobodyAnswers(t *testing.T) {
	closed := testkit.FreeAddress(t)
	mute := listen(t)
	defer func() { _ = mute.Close() }()
	other := listen(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	defer func() { _ = other.Close(); <-served }()
	c := ask(t, ClientOptions{SilentAfter: 300 * time.Millisecond})
	for what, address := range map[string]string{"closed": closed, "mute": mute.Addr().String(), "other": other.Addr().String()} {
		_, err := c.Status(t.Context(), address, nil)
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A process that comes back at the address is found again.
	s, err := NewServer(ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", closed)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	waitFor(t, "the process that is back", func() bool { _, err := c.Status(t.Context(), closed, nil); return err == nil })
	s.Close(t.Context())
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Close waits for what runs, within its context; then it cuts it off and waits for that.
func TestCloseEndsWhatRuns(t *testing.T) {
	begun, release := make(chan struct{}, 1), make(chan struct{})
	local := &fakeLocal{order: func(ctx context.Context, _ string) error {
		begun <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	for _, graceful := range []bool{true, false} {
		s, err := NewServer(ServerOptions{Local: local})
		if err != nil {
			t.Fatal(err)
		}
		l := listen(t)
		served, result, closed := make(chan error, 1), make(chan error, 1), make(chan struct{})
		go func() { served <- s.Serve(l) }()
		c := ask(t, ClientOptions{})
		go func() { result <- c.AcceptLoss(t.Context(), l.Addr().String(), key, 1, 2) }()
		<-begun
		ctx, cancel := context.WithCancel(t.Context())
		go func() { defer close(closed); s.Close(ctx) }()
		if graceful {
			release <- struct{}{}
		} else {
			cancel()
		}
		<-closed
		cancel()
		if err := <-result; (err == nil) != graceful {
			t.Errorf("graceful: %t: %v", graceful, err)
		} else if err != nil && (!errors.Is(err, ErrUnreachable) || errors.Is(err, context.Canceled)) {
			t.Errorf("%v", err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestUnusedConnectionsAreClosed(t *testing.T) {
	p := newProxy(t, serve(t, ServerOptions{}))
	c := ask(t, ClientOptions{IdleAfter: 20 * time.Millisecond})
	for n := 1; n <= 2; n++ {
		if _, err := c.Status(t.Context(), p.address(), nil); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the connection to go", func() bool {
			c.connections.mu.Lock()
			defer c.connections.mu.Unlock()
			return len(c.connections.all) == 0
		})
		if p.connections() != n {
			t.Errorf("%d connections were made, not %d", p.connections(), n)
		}
	}
	c.Close()
	if _, err := c.Status(t.Context(), p.address(), nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
}

// Connections come and go under many askers; every answer is whole or an error.
func TestChurnOfConnections(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	local := newLocal(t, seeded(t, seed), 4, 60)
	p := newProxy(t, serve(t, ServerOptions{Local: local}))
	c := ask(t, ClientOptions{SilentAfter: patience})
	came, done := make(chan struct{}), make(chan struct{})
	for i := range uint64(4) {
		go func() {
			defer func() { done <- struct{}{} }()
			m := &maker{rand.New(rand.NewPCG(seed, i)), nil}
			for range 40 {
				r := m.request(local.rows, 10*hourMillis)
				rows, err := c.Hot(t.Context(), p.address(), r)
				var refused *segment.HotUnavailable
				switch {
				case err == nil:
					sameRows(t, r, local.rows, rows)
					rows.Release()
					came <- struct{}{}
				case !errors.Is(err, ErrUnreachable) || errors.As(err, &refused):
					t.Errorf("%v", err)
				}
			}
		}()
	}
	good := 0
	for left := 4; left > 0; {
		select {
		case <-done:
			left--
		case <-came: // cuts keep step with answers, so that a slow machine gets some too
			if good++; good%3 == 0 {
				p.cut()
			}
		}
	}
	t.Logf("%d of 160 answers came", good)
	if good == 0 {
		t.Error("no answer came at all")
	}
}
