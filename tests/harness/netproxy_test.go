package harness

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// echo listens, sends back what it gets, and says how much it got.
func echo(t *testing.T) (address string, got func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	received := 0
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				buffer := make([]byte, 1024)
				for {
					n, err := conn.Read(buffer)
					mu.Lock()
					received += n
					mu.Unlock()
					if err != nil {
						return
					}
					if _, err := conn.Write(buffer[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return listener.Addr().String(), func() int { mu.Lock(); defer mu.Unlock(); return received }
}

func dial(t *testing.T, p *NetProxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// read waits for text of a length, but not longer than within.
func read(t *testing.T, conn net.Conn, length int, within time.Duration) (text string, err error) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, length)
	n, err := io.ReadFull(conn, buffer)
	return string(buffer[:n]), err
}

const (
	soon  = time.Minute           // for what must come
	never = 50 * time.Millisecond // for what must not come
)

func mustRead(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	if got, err := read(t, conn, len(want), soon); got != want {
		t.Fatalf("got %q, want %q: %v", got, want, err)
	}
}

// waitGot waits until the server has got so many bytes.
func waitGot(t *testing.T, got func() int, want int) {
	t.Helper()
	for end := time.Now().Add(soon); got() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the server got %d bytes, want %d", got(), want)
		}
	}
}

// exchange sends a text and gets it back.
func exchange(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	send(t, conn, text)
	mustRead(t, conn, text)
}

// proxied is a proxy in front of an echo, and a connection through both that has carried "one".
func proxied(t *testing.T) (p *NetProxy, conn net.Conn, got func() int) {
	t.Helper()
	address, got := echo(t)
	p = NewNetProxy(t, address)
	conn = dial(t, p)
	exchange(t, conn, "one")
	return p, conn, got
}

func TestStalledRepliesArriveAfterHealing(t *testing.T) {
	p, conn, got := proxied(t)
	p.Stall(Replies)
	send(t, conn, "two")
	if text, err := read(t, conn, 3, never); err == nil {
		t.Fatalf("%q came through a stalled stretch", text)
	}
	waitGot(t, got, 6)
	p.Heal()
	mustRead(t, conn, "two")
	if n := p.Passed(Replies); n != 6 {
		t.Errorf("%d bytes of replies passed, want 6", n)
	}
}

func TestStalledThenResetLosesTheReply(t *testing.T) {
	p, conn, got := proxied(t)
	p.Stall(Replies)
	send(t, conn, "lost")
	waitGot(t, got, 7)
	p.Reset()
	p.Heal()
	if text, err := read(t, conn, 4, soon); err == nil {
		t.Fatalf("%q came over a connection that was reset", text)
	}
	exchange(t, dial(t, p), "new")
}

func TestCutRefusesUntilHealed(t *testing.T) {
	p, conn, _ := proxied(t)
	p.Cut()
	if _, err := read(t, conn, 1, soon); err == nil {
		t.Fatal("a cut connection can be read")
	}
	if refused, err := net.Dial("tcp", p.Address()); err == nil {
		if _, err := read(t, refused, 1, soon); err == nil {
			t.Fatal("a new connection can be read")
		}
		_ = refused.Close()
	}
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections stand after the cut", n)
	}
	p.Heal()
	exchange(t, dial(t, p), "two")
}

func TestHalfClosedConnectionsEndInOrder(t *testing.T) {
	address, _ := echo(t)
	p := NewNetProxy(t, address)
	conn := dial(t, p)
	text := string(make([]byte, 1<<20))
	go func() {
		_, _ = conn.Write([]byte(text))
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	if err := conn.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(conn); err != nil || len(back) != len(text) {
		t.Fatalf("%d bytes came back of %d: %v", len(back), len(text), err)
	}
}

// TestNetProxyDelays: what is delayed comes later, and much of it not much later than little.
func TestNetProxyDelays(t *testing.T) {
	address, _ := echo(t)
	p := NewNetProxy(t, address)
	const delay, volume = time.Second, 16 << 20 // a second for each piece would come to minutes
	p.Delay(delay)
	conn := dial(t, p)
	begun := time.Now()
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := conn.Write(make([]byte, volume)); err != nil {
			t.Error(err)
		}
	})
	defer writing.Wait()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if first := time.Since(begun); first < 2*delay {
		t.Errorf("the first byte is back after %s", first)
	}
	if _, err := io.ReadFull(conn, make([]byte, volume-1)); err != nil {
		t.Fatal(err)
	}
	if all, most := time.Since(begun), time.Minute; all > most {
		t.Errorf("%d bytes took %s, want %s at most", volume, all, most)
	}
}
