package spec

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"drumlin/internal/nearest"
	"drumlin/internal/strictyaml"
)

// KafkaProperties returns what is known of ioConfig.consumerProperties; Path is the property's name. Properties that
// are not listed are refused: a misspelt one must not be without effect.
func KafkaProperties() []Field {
	fields := []Field{
		{"bootstrap.servers", KindText, Used, "the server's own brokers", "host:port, separated by commas"},
		{"isolation.level", KindText, Used, "read_committed", "must be `read_committed`: what an aborted transaction wrote " +
			"is never read"},
		{"group.id", KindText, Used, "drumlin-{id}", "group that the committed offsets are told to, as advice"},
		{"client.id", KindText, Used, "", "name of the client in the broker's logs"},
		{"client.rack", KindText, Used, "", "rack of the client"},
		{"security.protocol", KindText, Used, "PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"},
		{"sasl.mechanism", KindText, Used, "", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
		{"sasl.jaas.config", KindText, Used, "", "a login module with username=\"…\" and password=\"…\""},
		{"ssl.truststore.type", KindText, Used, "", "must be `PEM`"},
		{"ssl.truststore.certificates", KindText, Used, "the system's", "whom to trust: the text of PEM certificates"},
		{"ssl.keystore.type", KindText, Used, "", "must be `PEM`"},
		{"ssl.keystore.certificate.chain", KindText, Used, "", "what to show the brokers: the text of PEM certificates"},
		{"ssl.keystore.key", KindText, Used, "", "and of their key, not encrypted"},
		{"ssl.endpoint.identification.algorithm", KindText, Used, "https", "empty: host names are not checked"},
		{"ssl.enabled.protocols", KindText, Used, "TLSv1.2,TLSv1.3", "both, or one of them"},
		{"druid.dynamic.config.provider", KindAny, Refused, "", "give the property itself"},
	}
	for _, name := range strings.Fields(kafkaPropertiesWithoutEffect) {
		fields = append(fields, Field{Path: name, Kind: KindText, Class: Ignored, Note: "the client decides"})
	}
	for _, name := range []string{"ssl.keystore.location", "ssl.truststore.location"} {
		fields = append(fields, Field{Path: name, Kind: KindText, Class: Refused, Note: "a spec names no files of the server: " +
			"give the PEM text, or set the file in the server's own Kafka properties"})
	}
	for _, name := range strings.Fields(kafkaPropertiesRefused) {
		fields = append(fields, Field{Path: name, Kind: KindText, Class: Refused, Note: "not supported"})
	}
	return fields
}

// Java's classes, and numbers that tune the Java client.
const kafkaPropertiesWithoutEffect = `key.deserializer value.deserializer auto.offset.reset enable.auto.commit
auto.commit.interval.ms allow.auto.create.topics auto.include.jmx.reporter check.crcs client.dns.lookup
connections.max.idle.ms default.api.timeout.ms exclude.internal.topics enable.metrics.push fetch.max.bytes
fetch.max.wait.ms fetch.min.bytes group.instance.id group.protocol heartbeat.interval.ms max.partition.fetch.bytes
max.poll.interval.ms max.poll.records metadata.max.age.ms metadata.recovery.strategy metric.reporters
metrics.num.samples metrics.recording.level metrics.sample.window.ms partition.assignment.strategy
receive.buffer.bytes reconnect.backoff.max.ms reconnect.backoff.ms request.timeout.ms retry.backoff.max.ms
retry.backoff.ms send.buffer.bytes session.timeout.ms socket.connection.setup.timeout.max.ms
socket.connection.setup.timeout.ms`

// Without these a connection would be less safe than the user asked for, or not made at all.
const kafkaPropertiesRefused = `interceptor.classes sasl.client.callback.handler.class sasl.kerberos.service.name
sasl.login.callback.handler.class sasl.login.class sasl.oauthbearer.token.endpoint.url security.providers
ssl.cipher.suites ssl.engine.factory.class ssl.key.password ssl.keymanager.algorithm ssl.keystore.password ssl.protocol
ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm ssl.truststore.password`

// shownProperties are those whose values are no secrets. All others are hidden wherever a spec is shown.
var shownProperties = []string{
	"bootstrap.servers", "isolation.level", "group.id", "client.id", "client.rack", "security.protocol", "sasl.mechanism",
	"ssl.truststore.type", "ssl.keystore.type", "ssl.endpoint.identification.algorithm", "ssl.enabled.protocols",
}

const hiddenValue = "<hidden>"

// kafkaProperties reads consumerProperties. Messages never hold a value.
func (b *builder) kafkaProperties(o object) map[string]string {
	n := o.node.Get("consumerProperties")
	if n == nil || n.Kind != strictyaml.Map {
		return map[string]string{}
	}
	known := KafkaProperties()
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.Path
	}
	out := make(map[string]string, len(n.Entries))
	for _, e := range n.Entries {
		path := o.shownPath("consumerProperties") + "." + e.Key
		i := slices.Index(names, e.Key)
		switch {
		case i < 0:
			b.problem(path, "unknown Kafka property"+nearest.Question(nearest.Name(e.Key, names)))
		case known[i].Class == Refused:
			if !saysNothing(e.Value) {
				b.problem(path, "refused: "+known[i].Note)
			}
		case e.Value.Kind == strictyaml.Null:
		case e.Value.Kind == strictyaml.List || e.Value.Kind == strictyaml.Map:
			b.problem(path, "must be a text")
		default:
			if known[i].Class == Ignored {
				b.warn(path, known[i].Note)
			}
			e.Value.Kind = strictyaml.String
			out[e.Key] = e.Value.Text
		}
	}
	b.checkKafkaProperties(o.shownPath("consumerProperties"), out)
	return out
}

func (b *builder) checkKafkaProperties(path string, p map[string]string) {
	if v, ok := p["isolation.level"]; ok && v != "read_committed" {
		b.problem(path+".isolation.level", "must be read_committed: with anything else, records of aborted transactions "+
			"would be counted")
	}
	if v, ok := p["bootstrap.servers"]; ok {
		for broker := range strings.SplitSeq(v, ",") {
			host, port, err := net.SplitHostPort(strings.TrimSpace(broker))
			number, portErr := strconv.Atoi(port)
			if err != nil || host == "" || portErr != nil || number < 1 || number > 65535 {
				b.problem(path+".bootstrap.servers", "must be host:port, separated by commas")
				break
			}
		}
	}
	protocol := p["security.protocol"]
	if _, ok := p["security.protocol"]; ok &&
		!slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, protocol) {
		b.problem(path+".security.protocol", "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
	}
	b.checkStandsAlone(path, p)
	for _, name := range []string{"ssl.truststore.type", "ssl.keystore.type"} {
		if v, ok := p[name]; ok && v != "PEM" {
			b.problem(path+"."+name, "must be PEM: convert the store, and give its text")
		}
	}
	if v, ok := p["sasl.mechanism"]; ok && !slices.Contains([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, v) {
		b.problem(path+".sasl.mechanism", "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	}
}

// checkStandsAlone: a spec with brokers of its own, or with a way to connect, says all of it. Any other takes what it does not
// say from the server, which knows whether it fits.
func (b *builder) checkStandsAlone(path string, p map[string]string) {
	_, own := p["bootstrap.servers"]
	protocol, given := p["security.protocol"]
	if !own && !given {
		return
	}
	sasl := strings.HasPrefix(protocol, "SASL_")
	for _, name := range []string{"sasl.mechanism", "sasl.jaas.config"} {
		if _, given := p[name]; given != sasl {
			b.problem(path+"."+name, "must be given if, and only if, security.protocol is SASL_PLAINTEXT or SASL_SSL")
		}
	}
}
