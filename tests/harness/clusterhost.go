package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Host is a network namespace: what runs in it has a network of its own, whose one cable a test can pull. The test reaches
// it at its address; it reaches what listens on the machine's loopback through Forward.
type Host struct {
	Name    string
	Address string // of the host
	Gateway string // of this machine, seen from the host

	cable   string // this machine's end of the veth pair
	network string // both ends of the cable
}

// kafkaHostName is the name under which hosts know the broker: it leads to each host's own gateway.
const kafkaHostName = "kafka.drumlin.test"

const (
	hostPrefix = "drumlin-"
	hostsDir   = "/etc/netns"
)

// NewHost makes a namespace with a cable to this machine. It is removed at the test's end. Where namespaces cannot be made
// the test is skipped, but in CI (CI=true) it fails.
func NewHost(t testing.TB, name string) *Host {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		missing(t, "network namespaces need root and the command ip (apt-get install iproute2)")
	}
	removeForgottenHosts(t)
	h := &Host{Name: fmt.Sprintf("%s%d-%s", hostPrefix, os.Getpid(), name)}
	if out, err := ip("netns", "add", h.Name); err != nil {
		missing(t, fmt.Sprintf("a network namespace cannot be made: %v: %s", err, out))
	}
	t.Cleanup(func() { h.remove(t) })
	h.plug(t)
	h.must(t, "-n", h.Name, "link", "set", "lo", "up")
	hosts := "127.0.0.1 localhost\n" + h.Gateway + " " + kafkaHostName + "\n"
	if err := os.MkdirAll(filepath.Join(hostsDir, h.Name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hostsDir, h.Name, "hosts"), []byte(hosts), 0o644); err != nil {
		t.Fatal(err)
	}
	return h
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// hostNetworks hands out /30 networks of 10.213.0.0/16 that no interface of this machine has.
var hostNetworks struct {
	sync.Mutex
	next int
}

// plug makes the cable. Another test binary may take the same network at the same moment: then the next one is tried.
func (h *Host) plug(t testing.TB) {
	t.Helper()
	hostNetworks.Lock()
	defer hostNetworks.Unlock()
	for range 16384 {
		n := (os.Getpid()*37 + hostNetworks.next) % 16384
		hostNetworks.next++
		network := fmt.Sprintf("10.213.%d.", n/64)
		h.Gateway, h.Address = network+strconv.Itoa(n%64*4+1), network+strconv.Itoa(n%64*4+2)
		h.network = network + strconv.Itoa(n%64*4) + "/30"
		h.cable = "drm" + strconv.Itoa(n) // at most 15 characters
		if _, err := net.InterfaceByName(h.cable); err == nil {
			continue
		}
		if _, err := ip("link", "add", h.cable, "type", "veth", "peer", "name", "eth0", "netns", h.Name); err == nil {
			break
		}
	}
	h.must(t, "addr", "add", h.Gateway+"/30", "dev", h.cable)
	h.must(t, "link", "set", h.cable, "up")
	h.must(t, "-n", h.Name, "addr", "add", h.Address+"/30", "dev", "eth0")
	h.must(t, "-n", h.Name, "link", "set", "eth0", "up")
	h.must(t, "-n", h.Name, "route", "add", "default", "via", h.Gateway)
	// While the cable is pulled its own route is gone: packets must not leave by another way.
	h.must(t, "route", "add", "blackhole", h.network, "metric", "4000")
}

// Cut pulls the cable: packets vanish in both directions, and nobody is told.
func (h *Host) Cut(t testing.TB) {
	t.Helper()
	h.must(t, "link", "set", h.cable, "down")
}

// Heal plugs the cable in again.
func (h *Host) Heal(t testing.TB) {
	t.Helper()
	h.must(t, "link", "set", h.cable, "up")
}

// Forward makes what listens on this machine's loopback reachable from the host, and returns where.
func (h *Host) Forward(t testing.TB, target string) *NetProxy {
	t.Helper()
	return NewNetProxyOn(t, net.JoinHostPort(h.Gateway, "0"), target)
}

// command is how a program is run in the host. It becomes that program: its process is the one that was started.
func (h *Host) command(path string, args []string) (string, []string) {
	return "ip", append([]string{"netns", "exec", h.Name, path}, args...)
}

func (h *Host) must(t testing.TB, args ...string) {
	t.Helper()
	if out, err := ip(args...); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func ip(args ...string) (string, error) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (h *Host) remove(t testing.TB) {
	if h.cable != "" {
		_, _ = ip("route", "del", "blackhole", h.network)
		_, _ = ip("link", "del", h.cable) // takes the other end along; gone already where making it failed
	}
	if out, err := ip("netns", "del", h.Name); err != nil {
		t.Errorf("remove the namespace %s: %v: %s", h.Name, err, out)
	}
	if err := os.RemoveAll(filepath.Join(hostsDir, h.Name)); err != nil {
		t.Error(err)
	}
}

var hostOwner = regexp.MustCompile(`^` + hostPrefix + `(\d+)-`)

// removeForgottenHosts removes what test binaries left that were killed. The cable goes with the namespace.
func removeForgottenHosts(t testing.TB) {
	t.Helper()
	names, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, name := range names {
		m := hostOwner.FindStringSubmatch(name.Name())
		if m == nil {
			continue
		}
		if _, err := os.Stat("/proc/" + m[1]); err == nil {
			continue
		}
		if out, err := ip("netns", "del", name.Name()); err != nil {
			t.Logf("remove the forgotten namespace %s: %v: %s", name.Name(), err, out)
		}
		_ = os.RemoveAll(filepath.Join(hostsDir, name.Name()))
	}
}
