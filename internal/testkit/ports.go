package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// ports below those that the system gives to outgoing connections, so that a port is still free when a process that was
// killed starts again.
const firstPort, lastPort = 10_240, 32_000

// reservations keep other test binaries of this machine away from this one's ports for as long as it runs.
var reservations struct {
	sync.Mutex
	held []net.Listener
}

// FreeAddress is a loopback host:port for a server that a test starts. No test of this machine is given the same port while
// this binary runs, whether or not anybody listens on it.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range lastPort - firstPort {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort))
		if reserve(address) {
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// reserve says whether the address is this binary's from now on: nobody listens there and no other test has reserved it. The
// mark is a socket without a file, which goes with the process that has it.
func reserve(address string) bool {
	mark, err := net.Listen("unix", "@drumlin-test-"+address)
	if err != nil {
		return false
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		_ = mark.Close()
		return false
	}
	_ = l.Close()
	reservations.Lock()
	defer reservations.Unlock()
	reservations.held = append(reservations.held, mark)
	return true
}
