package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"drumlin/internal/ndjson"
	"drumlin/internal/producer"
	"drumlin/internal/progress"
)

// maxMessageBytes bounds one produced batch, and so one record: as drumlin dev's broker does.
const maxMessageBytes = 15 << 20

func newProduceCommand(env *Env) *cobra.Command {
	var topic string
	var rate float64
	cmd := &cobra.Command{
		Use:   "produce --topic TOPIC FILE",
		Short: "Write a file of JSON records, one a line, to a topic",
		Long: `Write every line of a file as one record to a Kafka topic, in order, and wait until the brokers have acknowledged all
of them. Gzip is recognised. "-" reads standard input. Lines are sent as they are: what cannot be read as JSON
is found in sys.rejects later. Blank lines are left out. Any other Kafka client works just as well.`,
		Example: `  drumlin produce --topic wikipedia wikiticker-2015-09-12-sampled.json.gz
  tail -f app.log | drumlin produce --topic logs -`,
		Args: exactly("a FILE, or - for standard input"),
	}
	properties := kafkaFlags(cmd, env)
	cmd.Flags().StringVar(&topic, "topic", "", "topic to write to (required)")
	cmd.Flags().Float64Var(&rate, "rate", 0, "records per second (default: as fast as they are acknowledged)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if topic == "" {
			return usagef("--topic is missing: name the topic to write to")
		}
		client, err := properties()
		if err != nil {
			return err
		}
		return produceFile(cmd.Context(), env, producer.Options{
			Properties: client, Topic: topic, PerSecond: rate, MaxMessageBytes: maxMessageBytes,
		}, args[0])
	}
	return cmd
}

func produceFile(ctx context.Context, env *Env, o producer.Options, path string) error {
	lines, err := ndjson.Open(path, env.Stdin)
	if err != nil {
		return err
	}
	meter := progress.New(env.Stderr, "records acknowledged", -1, time.Now)
	o.OnProgress = meter.Set
	acknowledged, err := producer.Run(ctx, o, fileSource{lines})
	err = errors.Join(err, lines.Close())
	if err != nil {
		meter.Stop()
		return fmt.Errorf("%d records of %s were acknowledged, then: %w", acknowledged, path, err)
	}
	meter.Finish()
	if blank := lines.Blank(); blank > 0 {
		env.Notef("%d blank lines left out", blank)
	}
	return nil
}

// fileSource gives lines as records.
type fileSource struct{ lines *ndjson.Reader }

func (s fileSource) Next() (producer.Record, bool, error) {
	line, _, err := s.lines.Next()
	if errors.Is(err, io.EOF) {
		return producer.Record{}, false, nil
	}
	if err != nil {
		return producer.Record{}, false, err
	}
	return producer.Record{Value: slices.Clone(line)}, true, nil // the producer keeps it until it is acknowledged
}
