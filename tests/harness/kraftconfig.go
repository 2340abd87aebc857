package harness

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// kafkaLogging shows warnings and errors only.
const kafkaLogging = `Configuration:
  Appenders:
    Console:
      name: STDOUT
      PatternLayout:
        pattern: "%d %p %m (%c)%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: STDOUT
`

// serverProperties is the broker's configuration: one node that is broker and controller, and starts fast.
func (k *Kafka) serverProperties(t testing.TB) string {
	t.Helper()
	var listen, advertise, protocols []string
	for _, name := range slices.Sorted(maps.Keys(k.Addresses)) {
		listen = append(listen, name+"://"+k.Addresses[name])
		address, protocol := k.Addresses[name], name
		if named, ok := k.options.Named[name]; ok {
			address, protocol = named, ListenPlain
		}
		advertise = append(advertise, name+"://"+address)
		protocols = append(protocols, name+":"+protocol)
	}
	p := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          "1",
		"controller.quorum.bootstrap.servers":              k.controller,
		"controller.listener.names":                        "CONTROLLER",
		"listeners":                                        strings.Join(listen, ",") + ",CONTROLLER://" + k.controller,
		"advertised.listeners":                             strings.Join(advertise, ","),
		"listener.security.protocol.map":                   strings.Join(protocols, ",") + ",CONTROLLER:PLAINTEXT",
		"inter.broker.listener.name":                       ListenPlain,
		"log.dirs":                                         k.file("log"),
		"offsets.topic.replication.factor":                 "1",
		"offsets.topic.num.partitions":                     "1",
		"transaction.state.log.replication.factor":         "1",
		"transaction.state.log.min.isr":                    "1",
		"transaction.state.log.num.partitions":             "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"group.initial.rebalance.delay.ms":                 "0",
		"auto.create.topics.enable":                        "false",
		"num.partitions":                                   "4",
		"message.max.bytes":                                "16777216",
		// Tests write records with times of their own choice: none is too old.
		"log.retention.ms": "-1",
		// What takes minutes by default, a test must be able to wait for.
		"log.retention.check.interval.ms": "500",
		"log.initial.task.delay.ms":       "500",
		"log.cleaner.backoff.ms":          "200",
		"file.delete.delay.ms":            "1000",
		"log.segment.delete.delay.ms":     "500",
		"controlled.shutdown.enable":      "false",
	}
	k.addTLS(t, p)
	k.addSASL(p)
	maps.Copy(p, k.options.Properties)
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&out, "%s=%s\n", name, escape.Replace(p[name]))
	}
	return out.String()
}

func (k *Kafka) addTLS(t testing.TB, p map[string]string) {
	t.Helper()
	if !k.hasTLS() {
		return
	}
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("configure Kafka: %v", err)
		}
		return string(data)
	}
	p["ssl.keystore.type"], p["ssl.truststore.type"] = "PEM", "PEM"
	p["ssl.keystore.certificate.chain"], p["ssl.keystore.key"] = read(k.cert.CertFile), read(k.cert.KeyFile)
	p["ssl.truststore.certificates"] = read(k.options.CA.File)
	if k.options.ClientAuth {
		p["listener.name.ssl.ssl.client.auth"] = "required"
	}
}

func (k *Kafka) addSASL(p map[string]string) {
	users := ""
	for _, u := range k.options.Users {
		users += fmt.Sprintf(` user_%s="%s"`, u.Name, u.Password)
	}
	for name := range k.Addresses {
		if !strings.HasPrefix(name, "SASL") {
			continue
		}
		p["sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
		at := "listener.name." + strings.ToLower(name) + "."
		p[at+"plain.sasl.jaas.config"] = "org.apache.kafka.common.security.plain.PlainLoginModule required" + users + ";"
		for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
			p[at+mechanism+".sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
		}
	}
}
