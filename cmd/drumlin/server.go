package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"drumlin/internal/app"
	"drumlin/internal/cli"
	"drumlin/internal/config"
	"drumlin/internal/failpoint"
)

// serverFlags are the settings that are often given on the command line; --set takes any other.
type serverFlags struct {
	configFile         string
	roles              []string
	set                []string
	http, flight, node string
	verbose, dryRun    bool
}

func newServerCommand(env *cli.Env) *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run some or all roles, on a Kafka, an etcd and an object store that run beside it",
		Long: `Run one process of a cluster. Its roles are any of

  ingest      reads Kafka partitions, keeps their newest rows hot, hands them off
  coordinate  looks after policies, retention and collection, and finds topics
  compact     runs compaction tasks
  query       answers SQL

Processes find each other through etcd: give all of them the same etcd endpoints and prefix, and the same object store. What the
roles need may come up later; until then /status/health answers 503 and says what is waited for. Nothing local is shared, and the
cache and spill directories may be lost at any time.

Flags win over the file, and the file over the defaults, which "drumlin config" prints with a comment for each. Secrets are best
left in the environment: ${NAME} in the file is taken from there.`,
		Example: `  drumlin server --roles ingest --config configs/server.yaml
  drumlin server --roles coordinate,compact,query --config configs/server.yaml --http 127.0.0.1:8890 --set query.threads=4`,
		Args: cli.NoArguments("roles are given as --roles ingest,query, and settings as --set PATH=VALUE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.effective(env)
			if err != nil {
				return cli.UsageHint(err, "`drumlin config` prints every setting with what it does, and its default")
			}
			if f.dryRun {
				return config.Print(env.Stdout, c)
			}
			points, err := failpoint.Parse(env.Getenv("DRUMLIN_FAILPOINTS"), failpointActions())
			if err != nil {
				return cli.Usage(err)
			}
			logger, err := newLogger(env.Stderr, c.Log)
			if err != nil {
				return cli.Usage(err)
			}
			return app.RunServer(cmd.Context(), c, app.World{Logger: logger, Out: env.Stdout, Version: version, Failpoints: points})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.configFile, "config", "", "YAML file; without one, defaults and flags alone")
	flags.StringSliceVar(&f.roles, "roles", nil, "what this process does: ingest, coordinate, compact, query")
	flags.StringVar(&f.http, "http", "", "HOST:PORT of the HTTP interface")
	flags.StringVar(&f.flight, "flight", "", "HOST:PORT on which other processes ask this one")
	flags.StringVar(&f.node, "node-id", "", "name of this process in the cluster; it must be the same after a restart")
	flags.StringArrayVar(&f.set, "set", nil, "PATH=VALUE of any other setting, such as etcd.endpoints=127.0.0.1:2379; may be repeated")
	flags.BoolVar(&f.verbose, "verbose", false, "log every step")
	flags.BoolVar(&f.dryRun, "dry-run", false, "check the settings, print the effective ones and exit")
	return cmd
}

// effective puts the file over the defaults, and the flags over the file.
func (f *serverFlags) effective(env *cli.Env) (config.Server, error) {
	c, err := loadConfig(env, f.configFile)
	if err != nil {
		return c, err
	}
	if err := c.SetAll(f.set); err != nil {
		return c, err
	}
	if len(f.roles) > 0 {
		c.Roles = f.roles
	}
	for _, flag := range []struct {
		value string
		field *string
	}{
		{f.http, &c.HTTP.Address},
		{f.flight, &c.Flight.Address},
		{f.node, &c.Node.ID},
	} {
		if flag.value != "" {
			*flag.field = flag.value
		}
	}
	if f.verbose {
		c.Log.Level = "debug"
	}
	return c, c.Validate()
}

// newLogger writes as configured.
func newLogger(out io.Writer, c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, o)), nil
	}
	return slog.New(slog.NewTextHandler(out, o)), nil
}
