package peer

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
)

// patience is how long a test waits for something that ought to happen at once.
const patience = time.Minute

// serve answers on a port of its own until the test ends.
func serve(t testing.TB, o ServerOptions) (address string) {
	t.Helper()
	if o.AliveEvery == 0 {
		o.AliveEvery = 20 * time.Millisecond
	}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Close(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask returns a client until the test ends; what it allocates has to be given back.
func ask(t testing.TB, o ClientOptions) *Client {
	t.Helper()
	if o.Allocator == nil {
		mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
		t.Cleanup(func() { mem.AssertSize(t, 0) })
		o.Allocator = mem
	}
	if o.SilentAfter == 0 {
		o.SilentAfter = patience // on a busy machine the usual limit is not silence yet
	}
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if n := c.budget.used.Load(); n != 0 {
			t.Errorf("%d bytes are still counted as held", n)
		}
	})
	return c
}

// proxy stands between a client and an address. It can go dead, as a process that is stopped or a cable that is pulled:
// connections stay, and nothing moves; or cut what it has after some bytes.
type proxy struct {
	target string
	l      net.Listener
	wg     sync.WaitGroup

	mu       sync.Mutex
	dead     bool
	cutAfter int64 // bytes of answers on a connection; −1: never
	accepted int
	conns    []net.Conn
	revived  chan struct{}
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	p := &proxy{target: target, l: listen(t), cutAfter: -1, revived: make(chan struct{})}
	p.wg.Go(p.run)
	t.Cleanup(func() {
		if err := p.l.Close(); err != nil {
			t.Error(err)
		}
		p.cut()
		p.revive()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) run() {
	for {
		from, err := p.l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = from.Close()
			continue
		}
		p.mu.Lock()
		p.accepted++
		p.conns = append(p.conns, from, to)
		p.mu.Unlock()
		p.wg.Go(func() { p.pump(from, to, false) })
		p.wg.Go(func() { p.pump(to, from, true) })
	}
}

func (p *proxy) pump(from, to net.Conn, answers bool) {
	defer func() { _, _ = from.Close(), to.Close() }()
	var moved int64
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.waitAlive()
		left := p.left(answers, moved)
		if left >= 0 && int64(n) > left {
			_, _ = to.Write(buffer[:left])
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
		moved += int64(n)
	}
}

func (p *proxy) left(answers bool, moved int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !answers || p.cutAfter < 0 {
		return -1
	}
	return max(0, p.cutAfter-moved)
}

func (p *proxy) waitAlive() {
	p.mu.Lock()
	dead, revived := p.dead, p.revived
	p.mu.Unlock()
	if dead {
		<-revived
	}
}

func (p *proxy) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

func (p *proxy) revive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = false
	close(p.revived)
	p.revived = make(chan struct{})
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) cutAfterBytes(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAfter = n
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited for %s", what)
}
