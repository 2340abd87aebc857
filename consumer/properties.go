package consumer

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Limits of one partition's fetching.
const (
	fetchMaxBytes            = 4 << 20   // compressed; a single larger batch is still fetched
	maxDecompressedBatchByte = 256 << 20 // a batch that would grow past it halts its partition
	brokerMaxReadBytes       = 128 << 20
)

// clientOptions translates a spec's consumerProperties. Properties that change only how a Java client works are left
// out; those that would change what is read are refused.
func clientOptions(properties map[string]string, defaultBrokers []string) ([]kgo.Opt, error) {
	brokers := defaultBrokers
	if list := splitList(properties["bootstrap.servers"]); len(list) > 0 {
		brokers = list
	}
	if len(brokers) == 0 {
		return nil, fmt.Errorf("no Kafka brokers: set bootstrap.servers in consumerProperties or the server's own brokers")
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.MaxDecompressBatchBytes(maxDecompressedBatchByte),
		kgo.BrokerMaxReadBytes(brokerMaxReadBytes),
		kgo.DisableClientMetrics(),
	}
	if level := properties["isolation.level"]; level != "" && level != "read_committed" {
		return nil, fmt.Errorf("consumerProperties: isolation.level %q is not supported: only read_committed counts each record once", level)
	}
	id := properties["client.id"]
	if id == "" {
		id = "drumlin"
	}
	opts = append(opts, kgo.ClientID(id))
	if rack := properties["client.rack"]; rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	security, err := securityOptions(properties)
	if err != nil {
		return nil, fmt.Errorf("consumerProperties: %w", err)
	}
	return append(opts, security...), nil
}

func securityOptions(properties map[string]string) ([]kgo.Opt, error) {
	protocol := strings.ToUpper(properties["security.protocol"])
	var opts []kgo.Opt
	switch protocol {
	case "", "PLAINTEXT", "SASL_PLAINTEXT":
	case "SSL", "SASL_SSL":
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	default:
		return nil, fmt.Errorf("security.protocol %q is not known: use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", protocol)
	}
	if !strings.HasPrefix(protocol, "SASL_") {
		return opts, nil
	}
	mechanism, err := saslMechanism(properties["sasl.mechanism"], properties["sasl.jaas.config"])
	if err != nil {
		return nil, err
	}
	return append(opts, kgo.SASL(mechanism)), nil
}

var jaasField = regexp.MustCompile(`(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"`)

func saslMechanism(name, jaas string) (sasl.Mechanism, error) {
	fields := map[string]string{}
	for _, m := range jaasField.FindAllStringSubmatch(jaas, -1) {
		fields[m[1]] = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[2])
	}
	user, password := fields["username"], fields["password"]
	if user == "" {
		return nil, fmt.Errorf("sasl.jaas.config has no username=\"…\" password=\"…\"")
	}
	switch strings.ToUpper(name) {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("sasl.mechanism %q is not known: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", name)
}

func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// clusterKey tells clients apart that cannot be shared. It holds secrets: it is never logged.
func clusterKey(properties map[string]string) string {
	var parts []string
	for k, v := range properties {
		if k == "group.id" {
			continue
		}
		parts = append(parts, fmt.Sprintf("%q=%q", k, v))
	}
	sort.Strings(parts)
	return strings.Join(parts, ",")
}
