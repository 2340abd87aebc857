package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"drumlin/internal/generate"
	"drumlin/internal/producer"
	"drumlin/internal/progress"
)

// generateFlags are the flags of drumlin generate.
type generateFlags struct {
	events           int64
	duplicates, late float64
	seed             uint64
	rate             float64
	topic, out       string
	start            string
}

func newGenerateCommand(env *Env) *cobra.Command {
	var f generateFlags
	cmd := &cobra.Command{
		Use:   "generate --events N",
		Short: "Make events like a product's, for trying things out",
		Long: `Make events such as analytics libraries send (messageId, type, event, userId, anonymousId, timestamp, properties, context),
skewed like real traffic, and write them to a topic, or to a file as one JSON record a line. The same seed gives the same events.
--duplicates repeats a share of them byte by byte, as retries do; --late gives a share an event time hours or days back.`,
		Example: `  drumlin generate --events 1000000 --duplicates 0.1 --late 0.01
  drumlin generate --events 1000 --seed 7 --out events.ndjson
  drumlin generate --events 600000 --rate 10000 --topic events`,
		Args: exactly(),
	}
	properties := kafkaFlags(cmd, env)
	cmd.Flags().Int64Var(&f.events, "events", 0, "how many records, repeats included (required)")
	cmd.Flags().Float64Var(&f.duplicates, "duplicates", 0, "share of records that repeat an earlier one, 0 to 1")
	cmd.Flags().Float64Var(&f.late, "late", 0, "share of events whose time lies hours or days back, 0 to 1")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed: the same one gives the same events")
	cmd.Flags().Float64Var(&f.rate, "rate", 0, "records per second (default: as fast as they are acknowledged)")
	cmd.Flags().StringVar(&f.start, "start", "2026-01-01T00:00:00Z", "time of the first event, or now (which makes other events each time)")
	cmd.Flags().StringVar(&f.topic, "topic", "events", "topic to write to")
	cmd.Flags().StringVar(&f.out, "out", "", "file to write to instead of a topic, or - for standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, name := range []string{"topic", "rate"} {
			if f.out != "" && cmd.Flags().Changed(name) {
				return usagef("--out writes to a file, so --%s has no meaning: give one of them", name)
			}
		}
		return runGenerate(cmd.Context(), env, f, properties)
	}
	return cmd
}

func runGenerate(ctx context.Context, env *Env, f generateFlags, properties func() (map[string]string, error)) error {
	if f.events <= 0 {
		return usagef("--events must be 1 or more, such as --events 1000000")
	}
	start, err := parseStart(f.start)
	if err != nil {
		return err
	}
	options := generate.Options{Events: f.events, Duplicates: f.duplicates, Late: f.late, Seed: f.seed, Start: start}
	if f.rate > 0 {
		options.RatePerSecond = f.rate
	}
	if err := options.Validate(); err != nil {
		return Usage(err)
	}
	if f.out != "" {
		return generateFile(ctx, env, generate.New(options), f.out, f.events)
	}
	client, err := properties()
	if err != nil {
		return err
	}
	meter := progress.New(env.Stderr, "events acknowledged", f.events, time.Now)
	acknowledged, err := producer.Run(ctx, producer.Options{
		Properties: client, Topic: f.topic, PerSecond: f.rate, MaxMessageBytes: maxMessageBytes, OnProgress: meter.Set,
	}, eventSource{generate.New(options)})
	if err != nil {
		meter.Stop()
		return fmt.Errorf("%d of %d events were acknowledged, then: %w", acknowledged, f.events, err)
	}
	meter.Finish()
	return nil
}

func parseStart(text string) (time.Time, error) {
	if text == "now" {
		return time.Now(), nil
	}
	start, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usagef("--start: %q is neither now nor a time such as 2026-01-01T00:00:00Z", text)
	}
	return start, nil
}

// eventSource gives generated events as records.
type eventSource struct{ events *generate.Generator }

func (s eventSource) Next() (producer.Record, bool, error) {
	value, key, millis, ok := s.events.Next(nil) // the producer keeps the slices until they are acknowledged
	return producer.Record{Key: key, Value: value, Timestamp: time.UnixMilli(millis)}, ok, nil
}

func generateFile(ctx context.Context, env *Env, events *generate.Generator, path string, total int64) (err error) {
	var out io.Writer = env.Stdout
	if path != "-" {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	meter := progress.New(env.Stderr, "events written", total, time.Now)
	w := bufio.NewWriterSize(out, 1<<20)
	var buffer []byte
	for n := int64(0); ; n++ {
		record, _, _, ok := events.Next(buffer[:0])
		if !ok {
			break
		}
		buffer = append(record, '\n')
		if _, err := w.Write(buffer); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if n%10_000 == 0 {
			meter.Set(n)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	meter.Set(total)
	meter.Finish()
	return nil
}
