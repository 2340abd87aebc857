package kafkaprops

import (
	"maps"
	"slices"
	"strings"
)

// Merge returns the properties of a client: a spec's own, over the server's, key by key. What the server keeps secret is
// lent only to be used as the server itself would use it:
//   - a spec that names a broker that the server does not know inherits neither credentials nor how to connect;
//   - a spec that changes how brokers are recognised, or how secrets travel, inherits no credentials.
func Merge(server, own map[string]string) map[string]string {
	out := maps.Clone(server)
	if out == nil {
		out = map[string]string{}
	}
	elsewhere := namesOthers(server, own)
	changed := elsewhere || changesTrust(server, own)
	for name := range server {
		if (changed && isCredential(name)) || (elsewhere && isSecurity(name)) || replacesStore(own, name) {
			delete(out, name)
		}
	}
	maps.Copy(out, own)
	return out
}

// replacesStore says whether the spec has a store in place of the one that the property belongs to: a file and a text do
// not go together.
func replacesStore(own map[string]string, name string) bool {
	for _, store := range []string{"ssl.truststore.", "ssl.keystore."} {
		if !strings.HasPrefix(name, store) {
			continue
		}
		for other := range own {
			if strings.HasPrefix(other, store) {
				return true
			}
		}
	}
	return false
}

func namesOthers(server, own map[string]string) bool {
	known := addresses(server)
	for _, b := range addresses(own) {
		if !slices.Contains(known, b) {
			return true
		}
	}
	return false
}

func changesTrust(server, own map[string]string) bool {
	for name, value := range own {
		before, given := server[name]
		if isSecurity(name) && !isCredential(name) && (!given || value != before) {
			return true
		}
	}
	return false
}

func isSecurity(name string) bool {
	return strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "ssl.") || strings.HasPrefix(name, "sasl.")
}

func isCredential(name string) bool {
	return name == saslJAAS || name == sslKeyPassword || strings.HasPrefix(name, "ssl.keystore.")
}

// Lent returns a reader of the files that the server's own properties name, and of no others: who writes a spec does not
// choose which files of the server are opened.
func Lent(server map[string]string, read FileReader) FileReader {
	allowed := []string{server[sslTrustLocation], server[sslKeystoreLocation]}
	return func(name string) ([]byte, error) {
		if name == "" || !slices.Contains(allowed, name) {
			return nil, errNotLent
		}
		return read(name)
	}
}
