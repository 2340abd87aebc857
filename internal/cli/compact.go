package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"drumlin/api/client"
)

// compactFlags are what can be said of a compaction without a file.
type compactFlags struct {
	interval, granularity, queryGranularity, policy string
	maxRows                                         int64
	priority                                        int
	wait                                            bool
}

func newCompactCommand(env *Env) *cobra.Command {
	var f compactFlags
	cmd := &cobra.Command{
		Use:   "compact DATASOURCE",
		Short: "Compact a datasource's segments: fewer, larger, deduplicated and rolled up",
		Long: `Submit a task that compacts a datasource: the segments of each time chunk become few large ones, copies of records are
removed, and rows of a rollup datasource are rolled up. No answer changes, but for what you ask for with --granularity and
--query-granularity. What is still hot stays hot: "drumlin handoff" commits it first. More can be said in a file: see
"drumlin task submit --help". To have it done by itself, see "drumlin autocompact --help".`,
		Example: `  drumlin compact wikipedia --wait
  drumlin compact wikipedia --interval 2015-09-12/2015-09-13 --granularity day --wait`,
		Args: exactly("the name of a DATASOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.policy != "" && f.policy != "recent" && f.policy != "historical" {
				return usagef("--policy %s is not known: it must be recent or historical", f.policy)
			}
			return withClient(env, func(c *client.Client) error {
				return compact(cmd.Context(), env, c, args[0], f, cmd.Flags().Changed("priority"))
			})
		},
	}
	cmd.Flags().StringVar(&f.interval, "interval", "", "what to compact, such as 2026-01-01/2026-02-01 or 2026-01-01/P1M (default: all that is committed)")
	cmd.Flags().StringVar(&f.granularity, "granularity", "", "time chunk of the new segments, such as day (default: as it is)")
	cmd.Flags().StringVar(&f.queryGranularity, "query-granularity", "", "truncate times to this for good, such as hour (default: as it is)")
	cmd.Flags().Int64Var(&f.maxRows, "max-rows", 0, "most rows of a segment (default: the server's)")
	cmd.Flags().StringVar(&f.policy, "policy", "", "recent: merge new small segments only; historical: whole time chunks (default)")
	cmd.Flags().IntVar(&f.priority, "priority", 0, "higher ones run first (default: 25)")
	cmd.Flags().BoolVar(&f.wait, "wait", false, waitUsage)
	return cmd
}

func compact(ctx context.Context, env *Env, c *client.Client, datasource string, f compactFlags, withPriority bool) error {
	input := map[string]any{"type": "compact"}
	if f.interval == "" {
		all, err := committedInterval(ctx, c, datasource)
		if err != nil {
			return err
		}
		f.interval = all
		// The first and the last segment may be shorter than the chunk that is asked for, or than their own; all means all.
		input["allowNonAlignedInterval"] = true
	}
	input["inputSpec"] = map[string]string{"type": "interval", "interval": f.interval}
	task := map[string]any{"type": "compact", "dataSource": datasource, "ioConfig": input}
	granularity := map[string]string{}
	if f.granularity != "" {
		granularity["segmentGranularity"] = f.granularity
	}
	if f.queryGranularity != "" {
		granularity["queryGranularity"] = f.queryGranularity
	}
	if len(granularity) > 0 {
		task["granularitySpec"] = granularity
	}
	if f.maxRows != 0 {
		task["tuningConfig"] = map[string]any{"partitionsSpec": map[string]any{"type": "dynamic", "maxRowsPerSegment": f.maxRows}}
	}
	about := map[string]any{}
	if f.policy != "" {
		about["policy"] = f.policy
	}
	if withPriority {
		about["priority"] = f.priority
	}
	if len(about) > 0 {
		task["context"] = about
	}
	text, err := json.Marshal(task)
	if err != nil {
		return fmt.Errorf("encode the task: %w", err)
	}
	return submitTask(ctx, env, c, text, f.wait)
}

const committedSQL = `SELECT MIN("start"), MAX("end") FROM sys.segments WHERE datasource = ? AND is_published = 1`

// committedInterval is the interval from the first committed segment's start to the last one's end.
func committedInterval(ctx context.Context, c *client.Client, datasource string) (string, error) {
	result, err := c.SQL(ctx, client.Query{
		SQL: committedSQL, Parameters: []client.Parameter{{Type: "VARCHAR", Value: datasource}},
	})
	if err != nil {
		return "", err
	}
	var start, end *string
	if len(result.Rows) == 1 && len(result.Rows[0]) == 2 {
		if err := json.Unmarshal(result.Rows[0][0], &start); err != nil {
			return "", fmt.Errorf("read sys.segments: %w", err)
		}
		if err := json.Unmarshal(result.Rows[0][1], &end); err != nil {
			return "", fmt.Errorf("read sys.segments: %w", err)
		}
	}
	if start == nil || end == nil {
		return "", fmt.Errorf("datasource %s has no committed segments\nhint: drumlin status shows the datasources; "+
			"drumlin handoff commits what is hot", datasource)
	}
	return *start + "/" + *end, nil
}
