package kafkaprops

import (
	"fmt"
	"slices"
	"strings"

	"drumlin/internal/nearest"
)

// The properties that have an effect.
const (
	bootstrapServers = "bootstrap.servers"
	isolationLevel   = "isolation.level"
	clientID         = "client.id"
	clientRack       = "client.rack"
	groupID          = "group.id" // read by who commits offsets

	securityProtocol = "security.protocol"
	saslMechanism    = "sasl.mechanism"
	saslJAAS         = "sasl.jaas.config"

	sslProtocols        = "ssl.enabled.protocols"
	sslIdentification   = "ssl.endpoint.identification.algorithm"
	sslTrustType        = "ssl.truststore.type"
	sslTrustLocation    = "ssl.truststore.location"
	sslTrustCerts       = "ssl.truststore.certificates"
	sslTrustPassword    = "ssl.truststore.password"
	sslKeystoreType     = "ssl.keystore.type"
	sslKeystoreLocation = "ssl.keystore.location"
	sslKeystoreChain    = "ssl.keystore.certificate.chain"
	sslKeystoreKey      = "ssl.keystore.key"
	sslKeystorePassword = "ssl.keystore.password"
	sslKeyPassword      = "ssl.key.password"
)

var used = []string{
	bootstrapServers, isolationLevel, clientID, clientRack, groupID, securityProtocol, saslMechanism, saslJAAS, sslProtocols,
	sslIdentification, sslTrustType, sslTrustLocation, sslTrustCerts, sslTrustPassword, sslKeystoreType, sslKeystoreLocation,
	sslKeystoreChain, sslKeystoreKey, sslKeystorePassword, sslKeyPassword,
}

// ignored are Java's classes, and numbers that tune a Java consumer, producer or admin client.
var ignored = strings.Fields(`acks allow.auto.create.topics auto.commit.interval.ms auto.include.jmx.reporter
auto.offset.reset batch.size buffer.memory check.crcs client.dns.lookup compression.gzip.level compression.lz4.level
compression.type compression.zstd.level connections.max.idle.ms default.api.timeout.ms delivery.timeout.ms
enable.auto.commit enable.idempotence enable.metrics.push exclude.internal.topics fetch.max.bytes fetch.max.wait.ms
fetch.min.bytes group.instance.id group.protocol group.remote.assignor heartbeat.interval.ms key.deserializer
key.serializer linger.ms max.block.ms max.in.flight.requests.per.connection max.partition.fetch.bytes
max.poll.interval.ms max.poll.records max.request.size metadata.max.age.ms metadata.max.idle.ms
metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy metric.reporters metrics.num.samples
metrics.recording.level metrics.sample.window.ms partition.assignment.strategy
partitioner.adaptive.partitioning.enable partitioner.availability.timeout.ms partitioner.class
partitioner.ignore.keys receive.buffer.bytes reconnect.backoff.max.ms reconnect.backoff.ms request.timeout.ms retries
retry.backoff.max.ms retry.backoff.ms sasl.login.connect.timeout.ms sasl.login.read.timeout.ms
sasl.login.refresh.buffer.seconds sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor
sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms send.buffer.bytes
session.timeout.ms socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms
ssl.keymanager.algorithm ssl.protocol ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm
transaction.timeout.ms value.deserializer value.serializer`)

// refused says why, for names that a Java client knows: without them records would be read, or connections made, in
// another way than was asked.
var refused = map[string]string{
	"interceptor.classes":                "there are no Java interceptors here",
	"transactional.id":                   "nothing is written in transactions here",
	"bootstrap.controllers":              "name brokers in bootstrap.servers",
	"sasl.client.callback.handler.class": "there are no Java classes here: give sasl.jaas.config",
	"sasl.login.callback.handler.class":  "there are no Java classes here: give sasl.jaas.config",
	"sasl.login.class":                   "there are no Java classes here: give sasl.jaas.config",
	"sasl.kerberos.service.name":         "Kerberos is not supported: use PLAIN or SCRAM",
	"security.providers":                 "there are no Java classes here",
	"ssl.cipher.suites":                  "the cipher suites cannot be chosen; ssl.enabled.protocols can",
	"ssl.engine.factory.class":           "there are no Java classes here: give PEM stores",
}

// MayBeSecret says whether a property can hold what nobody should read: all can but those that are known not to.
func MayBeSecret(name string) bool {
	switch name {
	case saslJAAS, sslTrustPassword, sslKeystoreKey, sslKeystorePassword, sslKeyPassword:
		return true
	}
	return !slices.Contains(used, name) && !slices.Contains(ignored, name)
}

// Ignored returns the names of properties that have no effect here, sorted.
func Ignored(properties map[string]string) []string {
	var out []string
	for name := range properties {
		if slices.Contains(ignored, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// checkNames refuses what must not be left out silently.
func checkNames(properties map[string]string) error {
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if reason, ok := refused[name]; ok {
			return fmt.Errorf("%s is refused: %s", name, reason)
		}
		if strings.HasPrefix(name, "sasl.oauthbearer.") || strings.HasPrefix(name, "sasl.kerberos.") {
			return fmt.Errorf("%s is refused: use PLAIN or SCRAM", name)
		}
		if !slices.Contains(used, name) && !slices.Contains(ignored, name) {
			near := nearest.Within(name, slices.Concat(used, ignored), 2)
			return fmt.Errorf("%s is not a known Kafka property%s", name, nearest.Question(near))
		}
	}
	return nil
}
