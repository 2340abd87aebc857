package testkit

import (
	"net"
	"testing"
)

// TestAPortIsGivenOnce: another test is not given an address, though nobody listens on it yet.
func TestAPortIsGivenOnce(t *testing.T) {
	address := FreeAddress(t)
	if reserve(address) {
		t.Errorf("%s is given twice", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("nobody can listen on the address: %v", err)
	}
	defer l.Close()
	if taken := FreeAddress(t); taken == address {
		t.Errorf("%s is given while somebody listens there", address)
	}
}
