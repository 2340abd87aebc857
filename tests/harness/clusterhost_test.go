package harness

import (
	"net"
	"os/exec"
	"testing"
	"time"
)

func TestAHostIsReachableUntilItsCableIsPulled(t *testing.T) {
	h := NewHost(t, "one")
	address, _ := echo(t)
	forward := h.Forward(t, address)
	path, args := h.command("bash", []string{"-c", `exec 3<>"/dev/tcp/$1/$2"; while read -r line; do echo "$line" >&3; read -r back <&3; echo "$back"; done`, "bash", h.Gateway, port(t, forward.Address())})
	cmd := exec.Command(path, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := make(chan string, 8)
	go func() {
		buffer := make([]byte, 64)
		for {
			n, err := out.Read(buffer)
			if err != nil {
				return
			}
			lines <- string(buffer[:n])
		}
	}()
	say := func(text string) {
		t.Helper()
		if _, err := in.Write([]byte(text + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want+"\n" {
				t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(soon):
			t.Fatalf("%q did not come", want)
		}
	}
	say("one")
	hear("one")
	h.Cut(t)
	say("two")
	select {
	case got := <-lines:
		t.Fatalf("%q came through a pulled cable", got)
	case <-time.After(10 * never):
	}
	h.Heal(t)
	hear("two") // sent again by the kernel
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
