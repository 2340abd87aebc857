package config

import (
	"fmt"
	"net"
	"os"
	"strings"

	"drumlin/internal/secure"
)

const (
	maxNodeIDBytes    = 128
	bootstrapProperty = "bootstrap.servers"
)

// NodeID is node.id, or else the host's name and the port of the HTTP listener: the same after a restart, and different for
// two processes on one host.
func (s Server) NodeID(httpAddress string) (string, error) {
	if s.Node.ID != "" {
		return s.Node.ID, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find the host's name, which names this process: %w; give node.id", err)
	}
	_, port, err := net.SplitHostPort(httpAddress)
	if err != nil {
		return "", fmt.Errorf("name this process by its HTTP port: %w", err)
	}
	id := host + "-" + port
	if !validNodeID(id) {
		return "", fmt.Errorf("the host's name %q cannot name this process: give node.id", host)
	}
	return id, nil
}

func validNodeID(id string) bool {
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-", rune(c)) {
			return false
		}
	}
	return id != "" && len(id) <= maxNodeIDBytes
}

// AdvertisedHTTP is where others reach the HTTP interface that listens on this address.
func (s Server) AdvertisedHTTP(listening string) string {
	return advertised(s.HTTP.Advertise, listening)
}

// AdvertisedFlight is where other processes reach the flight interface that listens on this address.
func (s Server) AdvertisedFlight(listening string) string {
	return advertised(s.Flight.Advertise, listening)
}

// advertised puts the host's name in the place of an address that means every interface.
func advertised(chosen, listening string) string {
	if chosen != "" {
		return chosen
	}
	host, port, err := net.SplitHostPort(listening)
	if err != nil {
		return listening
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return listening
	}
	name, err := os.Hostname()
	if err != nil {
		return listening // others then reach only processes on their own host
	}
	return net.JoinHostPort(name, port)
}

// ClientProperties are the properties of the Kafka client, the brokers among them. They hold secrets in the clear.
func (k Kafka) ClientProperties() map[string]string {
	out := make(map[string]string, len(k.Properties)+1)
	for name, value := range k.Properties {
		out[name] = value.Reveal()
	}
	out[bootstrapProperty] = strings.Join(k.BootstrapServers, ",")
	return out
}

// HTTPAccess is who may ask the HTTP interface: nil where there are no tokens, which means everybody.
func (a Access) HTTPAccess() (*secure.Access, error) {
	tokens := make([]secure.Token, len(a.Tokens))
	for i, t := range a.Tokens {
		role, err := secure.ParseRole(t.Role)
		if err != nil {
			return nil, fmt.Errorf("access.tokens[%d].role: %w", i, err)
		}
		tokens[i] = secure.Token{Name: t.Name, Role: role, Secret: t.Secret}
	}
	access, err := secure.NewAccess(tokens)
	if err != nil {
		return nil, fmt.Errorf("access.tokens: %w", err)
	}
	return access, nil
}

// PeerAccess is who may ask the flight interface: nil where there is no peer token, which means every process.
func (a Access) PeerAccess() (*secure.Access, error) {
	if a.PeerToken == "" {
		return nil, nil
	}
	access, err := secure.NewAccess([]secure.Token{{Name: "peer", Role: secure.RoleAdmin, Secret: a.PeerToken}})
	if err != nil {
		return nil, fmt.Errorf("access.peerToken: %w", err)
	}
	return access, nil
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Warnings tell what is allowed and seldom meant. They do not keep the process from running.
func (s Server) Warnings() []string {
	var out []string
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if !isLoopback(s.HTTP.Address) {
		switch {
		case len(s.Access.Tokens) == 0 && s.HTTP.TLS.ClientCAFile == "":
			warn("http.address: %s is reached from other machines and access.tokens is empty: everybody may read, change and delete", s.HTTP.Address)
		case len(s.Access.Tokens) > 0 && s.HTTP.TLS == (ServerTLS{}):
			warn("http.tls: tokens cross the network in plain text")
		}
	}
	if !isLoopback(s.Flight.Address) && s.Access.PeerToken == "" && s.Flight.TLS.ClientCAFile == "" {
		warn("flight.address: %s is reached from other machines and access.peerToken is empty: everybody may read hot rows", s.Flight.Address)
	}
	for _, client := range []struct {
		path string
		tls  ClientTLS
	}{{"flight.clientTLS", s.Flight.ClientTLS}, {"etcd.tls", s.Etcd.TLS}, {"objects.s3.tls", s.Objects.S3.TLS}} {
		if client.tls.InsecureSkipVerify {
			warn("%s.insecureSkipVerify: whoever is in between can read along", client.path)
		}
	}
	if s.Objects.Type == ObjectsFile && len(s.Roles) < len(AllRoles()) {
		warn("objects.type: processes with other roles must see the same directory, %s", s.Objects.Dir)
	}
	if s.Has(RoleQuery) && s.Query.HotBudget <= s.LeaseTTL {
		warn("query.hotBudget: %s is not more than leaseTTL, %s: when an ingest process is killed, queries fail until its partitions have been taken over",
			durationText(s.Query.HotBudget), durationText(s.LeaseTTL))
	}
	if s.Query.HotBudget >= s.Query.DefaultTimeout {
		warn("query.hotBudget: %s is not less than query.defaultTimeout: queries time out before they can say who does not answer", durationText(s.Query.HotBudget))
	}
	return out
}
