package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"drumlin/internal/app"
	"drumlin/internal/cli"
	"drumlin/internal/failpoint"
)

func newDevCommand(env *cli.Env) *cobra.Command {
	config := app.DefaultDevConfig()
	var verbose bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run every role in one process, with a broker, etcd and storage of its own",
		Long: `Run all of Drumlin in this process: an embedded Kafka-protocol broker, an embedded etcd, a directory as object store,
ingestion, and SQL over HTTP. Everything is kept in the data directory and survives a restart and a kill -9. Two processes with
two data directories run side by side when they are given different ports.`,
		Example: `  drumlin dev
  drumlin dev --data-dir /tmp/try --http 127.0.0.1:9999 --kafka 127.0.0.1:9093 --spec configs/specs/events.yaml`,
		Args: cli.NoArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.Validate(); err != nil {
				return cli.Usage(err)
			}
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			points, err := failpoint.Parse(env.Getenv("DRUMLIN_FAILPOINTS"), failpointActions())
			if err != nil {
				return cli.Usage(err)
			}
			return app.RunDev(cmd.Context(), config, app.World{
				Logger: slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level})),
				Out:    env.Stdout, Version: version, Failpoints: points,
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&config.DataDir, "data-dir", config.DataDir, "directory that keeps everything")
	f.StringVar(&config.HTTPAddress, "http", config.HTTPAddress, "HOST:PORT of the HTTP interface")
	f.StringVar(&config.KafkaAddress, "kafka", config.KafkaAddress, "HOST:PORT of the embedded broker")
	f.StringArrayVar(&config.SpecFiles, "spec", nil, "supervisor spec to submit at start; may be repeated")
	f.IntVar(&config.TopicPartitions, "partitions", config.TopicPartitions, "partitions of topics that are created by use")
	f.Int64Var(&config.MaxHotBytes, "max-hot-bytes", config.MaxHotBytes, "memory for hot rows")
	f.Int64Var(&config.MaxQueryBytes, "max-query-bytes", config.MaxQueryBytes, "memory for queries")
	f.Int64Var(&config.MaxCacheBytes, "max-cache-bytes", config.MaxCacheBytes, "disk for local copies of segments")
	f.Int64Var(&config.MaxCompactionBytes, "max-compaction-bytes", config.MaxCompactionBytes, "memory of one compaction task; beyond it tasks spill to disk")
	f.IntVar(&config.CompactionSlots, "compaction-slots", config.CompactionSlots, "tasks that run at a time")
	f.DurationVar(&config.RecentInterval, "recent-every", config.RecentInterval, "how often auto-compaction looks for small merges of new chunks")
	f.DurationVar(&config.HistoricalInterval, "historical-every", config.HistoricalInterval, "how often auto-compaction looks for whole chunks to compact")
	f.DurationVar(&config.RetentionInterval, "retention-every", config.RetentionInterval, "how often retention rules and dedup horizons are looked at")
	f.DurationVar(&config.CollectInterval, "collect-every", config.CollectInterval, "how often objects that nothing shows any more are looked for")
	f.DurationVar(&config.CollectGrace, "collect-grace", config.CollectGrace, "how long what a compaction has replaced stays for readers")
	f.BoolVar(&verbose, "verbose", false, "log every step")
	return cmd
}
