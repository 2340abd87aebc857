package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"drumlin/api/client"
	"drumlin/internal/table"
)

func newAutoCompactCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "autocompact",
		Short: "Have datasources compacted by themselves, and see why or why not",
		Long: `A datasource with an auto-compaction config is compacted by itself, by two policies: "recent" merges new small segments
often and cheaply, "historical" brings time chunks to their final form, oldest first. Without a config nothing is done.
An example is in configs/autocompaction.`,
		Example: `  drumlin autocompact set configs/autocompaction/events.yaml
  drumlin autocompact explain events`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAutoCompactSetCommand(env), newAutoCompactGetCommand(env), newAutoCompactOffCommand(env),
		newAutoCompactStatusCommand(env), newAutoCompactExplainCommand(env))
	return cmd
}

func newAutoCompactSetCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "set FILE",
		Short: "Switch auto-compaction on for the config's datasource, or change how it works",
		Long: `Submit an auto-compaction config in YAML or JSON, Druid's included as they are; it names its datasource. FILE may be -
for standard input.`,
		Example: "  drumlin autocompact set configs/autocompaction/events.yaml",
		Args:    exactly("the FILE of a config (or -)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := env.readInput(args[0])
			if err != nil {
				return err
			}
			return withClient(env, func(c *client.Client) error {
				warnings, err := c.SetAutoCompaction(cmd.Context(), config)
				env.warn(warnings)
				return err
			})
		},
	}
}

func newAutoCompactGetCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "get DATASOURCE",
		Short:   "Print a datasource's config as JSON",
		Example: "  drumlin autocompact get events",
		Args:    exactly("the name of a DATASOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error {
				config, err := c.AutoCompaction(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return writeIndented(env, config)
			})
		},
	}
}

func newAutoCompactOffCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "off DATASOURCE",
		Short:   "Switch auto-compaction off; tasks that run go on",
		Example: "  drumlin autocompact off events",
		Args:    exactly("the name of a DATASOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error { return c.DeleteAutoCompaction(cmd.Context(), args[0]) })
		},
	}
}

func newAutoCompactStatusCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show how much waits to be compacted",
		Example: "  drumlin autocompact status",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(env, func(c *client.Client) error { return compactionStatus(cmd.Context(), env, c) })
		},
	}
}

func compactionStatus(ctx context.Context, env *Env, c *client.Client) error {
	list, err := c.CompactionStatuses(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		env.Notef("auto-compaction is off for every datasource: switch it on with `drumlin autocompact set FILE`")
		return nil
	}
	t := &table.Table{Columns: []table.Column{
		{Name: "datasource"},
		{Name: "state"},
		{Name: "waiting", Right: true},
		{Name: "segments", Right: true},
		{Name: "chunks", Right: true},
		{Name: "compacted", Right: true},
		{Name: "skipped", Right: true},
		{Name: "note"},
	}}
	for _, s := range list {
		t.Rows = append(t.Rows, []string{
			s.DataSource, s.ScheduleStatus, byteSize(s.BytesAwaiting), thousands(s.SegmentsAwaiting), thousands(s.IntervalsAwaiting),
			thousands(s.IntervalsCompacted), thousands(s.IntervalsSkipped), s.Message,
		})
	}
	return t.Write(env.Stdout, env.Width())
}

func newAutoCompactExplainCommand(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain DATASOURCE",
		Short: "List every time chunk with the reason why it is compacted now, or is not",
		Long: `List every time chunk of a datasource as each policy sees it at this moment, in its order of preference: "compact" (it
would be compacted now), "held" (a rule, a failure or a task holds it back) or "fine" (nothing is to be gained).`,
		Example: "  drumlin autocompact explain events",
		Args:    exactly("the name of a DATASOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error {
				text, err := c.ExplainCompactionJSON(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return writeIndented(env, text)
				}
				return writeExplanation(env, text)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeExplanation(env *Env, text json.RawMessage) error {
	var e client.Explanation
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("the explanation cannot be read: %w", err)
	}
	for i, p := range e.Policies {
		gap := "\n"
		if i == 0 {
			gap = ""
		}
		if _, err := fmt.Fprintf(env.Stdout, "%spolicy %s\n", gap, table.Safe(p.Policy)); err != nil {
			return err
		}
		if len(p.Chunks) == 0 {
			if _, err := io.WriteString(env.Stdout, "nothing is committed yet\n"); err != nil {
				return err
			}
			continue
		}
		if err := explanationTable(p.Chunks).Write(env.Stdout, env.Width()); err != nil {
			return err
		}
	}
	if e.Note != "" {
		env.Notef("%s", table.Safe(e.Note))
	}
	return nil
}

func explanationTable(chunks []client.ChunkExplanation) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Name: "chunk"},
		{Name: "verdict"},
		{Name: "segments", Right: true},
		{Name: "rows", Right: true},
		{Name: "new rows", Right: true},
		{Name: "size", Right: true},
		{Name: "reason"},
	}}
	for _, c := range chunks {
		verdict := "fine"
		switch {
		case c.Chosen:
			verdict = "compact"
		case c.Skipped:
			verdict = "held"
		}
		reason := c.Reason
		if c.Task != "" {
			reason = strings.TrimPrefix(reason+"; task "+c.Task, "; ")
		}
		t.Rows = append(t.Rows, []string{
			shortInterval(c.Interval), verdict, thousands(c.Segments), thousands(c.Rows), thousands(c.TailRows), byteSize(c.Bytes), reason,
		})
	}
	return t
}

// shortInterval shortens an interval in ISO 8601.
func shortInterval(interval string) string {
	start, end, ok := strings.Cut(interval, "/")
	if !ok {
		return interval
	}
	return chunkText(start, end)
}
