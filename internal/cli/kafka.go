package cli

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"

	"drumlin/internal/kafkaprops"
)

// defaultBrokers is where drumlin dev's broker listens unless told otherwise.
const defaultBrokers = "127.0.0.1:9092"

// The environment variables that say where Kafka is, and how to connect.
const (
	brokersVariable     = "DRUMLIN_BROKERS"
	kafkaConfigVariable = "DRUMLIN_KAFKA_CONFIG"
)

// kafkaFlags adds --brokers and --kafka-config to a command, and returns how to read the client's properties from them.
func kafkaFlags(cmd *cobra.Command, env *Env) func() (map[string]string, error) {
	brokers := cmd.PersistentFlags().String("brokers", "",
		"Kafka brokers, host:port separated by commas (default "+defaultBrokers+", or $"+brokersVariable+")")
	config := cmd.PersistentFlags().String("kafka-config", "",
		"`file` with a Java client's properties: brokers, TLS, SASL (default $"+kafkaConfigVariable+")")
	return func() (map[string]string, error) {
		properties := map[string]string{}
		path := cmp.Or(*config, env.Getenv(kafkaConfigVariable))
		if path != "" {
			var err error
			if properties, err = kafkaprops.Load(path); err != nil {
				return nil, err
			}
			if ignored := kafkaprops.Ignored(properties); len(ignored) > 0 {
				env.Notef("%s: without effect here: %s", path, strings.Join(ignored, ", "))
			}
		}
		if named := cmp.Or(*brokers, env.Getenv(brokersVariable)); named != "" {
			properties["bootstrap.servers"] = named
		} else if properties["bootstrap.servers"] == "" {
			properties["bootstrap.servers"] = defaultBrokers
		}
		return properties, nil
	}
}
