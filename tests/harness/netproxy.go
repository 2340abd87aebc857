package harness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Direction is which way bytes go through a NetProxy.
type Direction int

// The directions, seen from the client.
const (
	Requests Direction = iota // from the client to the server
	Replies                   // from the server to the client
	directions
)

// NetProxy is a stretch of network between clients and one server: a TCP proxy that a test cuts, stalls and slows. What a
// stalled stretch holds back arrives after Heal, as packets sent again do; what is on its way at Reset or Cut is lost, so
// Stall(Replies) and then Reset makes requests that were served and never answered. Its methods may be called at any time.
type NetProxy struct {
	target   string
	listener net.Listener
	pumps    sync.WaitGroup
	stop     context.CancelFunc
	passed   [directions]atomic.Int64

	mu      sync.Mutex
	closed  bool
	cut     bool
	stalled [directions]bool
	delay   time.Duration
	changed chan struct{} // closed at every change of what is above
	links   map[*link]bool
}

// link is one connection of a client and the one that belongs to it, to the server.
type link struct{ client, server net.Conn }

// reset breaks both connections: what is on its way is lost.
func (l *link) reset() {
	reset(l.client)
	reset(l.server)
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// NewNetProxy listens on a free loopback port and passes everything on to the target. It is closed at the test's end.
func NewNetProxy(t testing.TB, target string) *NetProxy {
	t.Helper()
	return NewNetProxyOn(t, "127.0.0.1:0", target)
}

// NewNetProxyOn is NewNetProxy on an address of the caller's choice.
func NewNetProxyOn(t testing.TB, address, target string) *NetProxy {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("listen for a proxy to %s: %v", target, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &NetProxy{target: target, listener: listener, stop: stop, changed: make(chan struct{}), links: map[*link]bool{}}
	p.pumps.Go(func() { p.accept(ctx) })
	t.Cleanup(p.close)
	return p
}

// Address is where clients connect to.
func (p *NetProxy) Address() string { return p.listener.Addr().String() }

// Passed is how many bytes have gone one way.
func (p *NetProxy) Passed(way Direction) int64 { return p.passed[way].Load() }

// Connections is how many connections stand.
func (p *NetProxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Stall holds back what goes the given ways, on connections that stand and on new ones; without any, both ways.
func (p *NetProxy) Stall(ways ...Direction) {
	if len(ways) == 0 {
		ways = []Direction{Requests, Replies}
	}
	p.change(func() {
		for _, way := range ways {
			p.stalled[way] = true
		}
	})
}

// Delay makes all data arrive so much later, however much of it there is.
func (p *NetProxy) Delay(d time.Duration) { p.change(func() { p.delay = d }) }

// Reset breaks the connections that stand. New ones are served.
func (p *NetProxy) Reset() {
	p.change(p.resetAll)
}

// resetAll breaks every connection; the caller holds the lock.
func (p *NetProxy) resetAll() {
	for l := range p.links {
		l.reset()
		delete(p.links, l)
	}
}

// Cut breaks the connections that stand and every new one until Heal.
func (p *NetProxy) Cut() {
	p.change(func() {
		p.cut = true
		p.resetAll()
	})
}

// Heal ends Cut, Stall and Delay.
func (p *NetProxy) Heal() {
	p.change(func() { p.cut, p.stalled, p.delay = false, [directions]bool{}, 0 })
}

func (p *NetProxy) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *NetProxy) close() {
	p.stop()
	_ = p.listener.Close()
	p.change(func() {
		p.closed = true
		p.resetAll()
	})
	p.pumps.Wait()
}

func (p *NetProxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.pumps.Go(func() { p.serve(ctx, client) })
	}
}

// serve carries one connection until either side ends it.
func (p *NetProxy) serve(ctx context.Context, client net.Conn) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	server, err := dialer.DialContext(ctx, "tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	refused := p.closed || p.cut
	if !refused {
		p.links[l] = true
	}
	p.mu.Unlock()
	if refused {
		l.reset()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(ctx, l, Requests) })
	both.Go(func() { p.pump(ctx, l, Replies) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	_ = client.Close()
	_ = server.Close()
}

// piece is what one read of a connection gave.
type piece struct {
	data []byte
	at   time.Time
	err  error
}

// mostPieces are on their way in one direction of a connection at a time.
const mostPieces = 64

// pump copies one way. An orderly end is passed on; a broken side ends the connection. What is delayed does not hold up what
// comes behind it.
func (p *NetProxy) pump(ctx context.Context, l *link, way Direction) {
	from, to := l.client, l.server
	if way == Replies {
		from, to = to, from
	}
	pieces, ended := make(chan piece, mostPieces), make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { readPieces(from, pieces, ended) })
	defer reading.Wait()
	defer close(ended)
	for next := range pieces {
		if len(next.data) > 0 {
			if !p.pass(ctx, l, way, next.at) {
				return
			}
			p.passed[way].Add(int64(len(next.data)))
			if _, err := to.Write(next.data); err != nil {
				l.reset()
				return
			}
		}
		switch {
		case next.err == nil:
		case errors.Is(next.err, io.EOF):
			if !p.pass(ctx, l, way, next.at) {
				return
			}
			if tcp, ok := to.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
		default:
			l.reset()
		}
	}
}

// readPieces reads until the connection ends, one way or another, or nobody wants more. Whoever wants no more has broken the
// connection before.
func readPieces(from net.Conn, pieces chan<- piece, ended <-chan struct{}) {
	defer close(pieces)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case pieces <- piece{data: bytes.Clone(buffer[:n]), at: time.Now(), err: err}:
		case <-ended:
			return
		}
		if err != nil {
			return
		}
	}
}

// pass waits until what was read then may go this way; false: the connection was broken meanwhile.
func (p *NetProxy) pass(ctx context.Context, l *link, way Direction, read time.Time) bool {
	for {
		p.mu.Lock()
		stalled, delay, changed := p.stalled[way], p.delay, p.changed
		gone := p.closed || p.cut || !p.links[l]
		p.mu.Unlock()
		left := time.Duration(0)
		if delay > 0 {
			left = time.Until(read.Add(delay))
		}
		switch {
		case gone:
			return false
		case stalled:
			select {
			case <-changed:
			case <-ctx.Done():
				return false
			}
		case left > 0:
			timer := time.NewTimer(left)
			select {
			case <-timer.C:
			case <-changed:
				timer.Stop()
			}
		default:
			return true
		}
	}
}
