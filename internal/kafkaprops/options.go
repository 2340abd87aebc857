package kafkaprops

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// FileReader reads a file that a property names; os.ReadFile is one. Nil refuses properties that name files.
type FileReader func(name string) ([]byte, error)

// defaultClientID is the name in the brokers' logs and quotas.
const defaultClientID = "drumlin"

// Options returns what a client needs to reach the brokers. Files are read anew each time, so that a client made later
// takes certificates that have been renewed.
func Options(properties map[string]string, read FileReader) ([]kgo.Opt, error) {
	if err := checkNames(properties); err != nil {
		return nil, err
	}
	brokers, err := Brokers(properties)
	if err != nil {
		return nil, err
	}
	if err := checkIsolation(properties); err != nil {
		return nil, err
	}
	id := properties[clientID]
	if id == "" {
		id = defaultClientID
	}
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.ClientID(id)}
	if rack := properties[clientRack]; rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	secure, err := securityOptions(properties, read)
	if err != nil {
		return nil, err
	}
	return append(opts, secure...), nil
}

// Check says what is wrong with properties beside the brokers, as far as that shows without opening the files that they name.
func Check(properties map[string]string) error {
	if err := checkNames(properties); err != nil {
		return err
	}
	if err := checkIsolation(properties); err != nil {
		return err
	}
	_, sasl, err := protocolOf(properties)
	if err == nil && sasl {
		_, err = mechanismOf(properties[saslMechanism], properties[saslJAAS])
	}
	return err
}

func checkIsolation(properties map[string]string) error {
	if level := properties[isolationLevel]; level != "" && level != "read_committed" {
		return fmt.Errorf("%s must be read_committed: only that counts each record once", isolationLevel)
	}
	return nil
}

// Brokers returns the addresses of bootstrap.servers, checked.
func Brokers(properties map[string]string) ([]string, error) {
	brokers := addresses(properties)
	if len(brokers) == 0 {
		return nil, fmt.Errorf("%s is missing: name the Kafka brokers, host:port separated by commas", bootstrapServers)
	}
	for _, b := range brokers {
		host, port, err := net.SplitHostPort(b)
		number, portErr := strconv.Atoi(port)
		if err != nil || host == "" || portErr != nil || number < 1 || number > 65535 {
			return nil, fmt.Errorf("%s: %q is not host:port", bootstrapServers, b)
		}
	}
	return brokers, nil
}

func addresses(properties map[string]string) []string {
	return strings.FieldsFunc(properties[bootstrapServers], func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
}

// protocolOf says what stands between the client and the broker.
func protocolOf(properties map[string]string) (tls, sasl bool, err error) {
	switch protocol := strings.ToUpper(properties[securityProtocol]); protocol {
	case "", "PLAINTEXT":
		return false, false, nil
	case "SSL":
		return true, false, nil
	case "SASL_PLAINTEXT":
		return false, true, nil
	case "SASL_SSL":
		return true, true, nil
	default:
		return false, false, fmt.Errorf("%s %q is not known: use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", securityProtocol, protocol)
	}
}

func securityOptions(properties map[string]string, read FileReader) ([]kgo.Opt, error) {
	tls, sasl, err := protocolOf(properties)
	if err != nil {
		return nil, err
	}
	var opts []kgo.Opt
	if tls {
		config, err := tlsConfig(properties, read)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	if sasl {
		mechanism, err := mechanismOf(properties[saslMechanism], properties[saslJAAS])
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// Key tells clients apart that cannot be shared. It holds secrets: never log it.
func Key(properties map[string]string) string {
	var parts []string
	for k, v := range properties {
		if k != groupID {
			parts = append(parts, fmt.Sprintf("%q=%q", k, v))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}
