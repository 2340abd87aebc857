package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func newHandoffCommand(env *Env) *cobra.Command {
	var groups []int
	cmd := &cobra.Command{
		Use:   "handoff SUPERVISOR",
		Short: "Commit hot rows to object storage now",
		Long: `Hand off everything that the brokers hold at this moment: read up to the end of every partition, write the rows
as Parquet, commit them, and return when the commits are visible to queries. SUPERVISOR is its id, which is the
datasource's name unless the spec gives another. Nothing changes in any answer.`,
		Example: `  drumlin handoff wikipedia
  drumlin handoff wikipedia --group 0 --group 1`,
		Args: exactly("the id of a SUPERVISOR"),
		RunE: func(cmd *cobra.Command, args []string) error { return handoff(cmd.Context(), env, args[0], groups) },
	}
	cmd.Flags().IntSliceVar(&groups, "group", nil, "task group (partition number) to hand off; may be repeated (default: all)")
	return cmd
}

func handoff(ctx context.Context, env *Env, id string, groups []int) error {
	c, err := env.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	started := time.Now()
	if err := c.Handoff(ctx, id, groups); err != nil {
		return err
	}
	env.Notef("handed off %s in %s", id, shortDuration(time.Since(started)))
	return nil
}

func newControlCommand(env *Env, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " SUPERVISOR",
		Short:   short,
		Example: "  drumlin " + verb + " wikipedia",
		Args:    exactly("the id of a SUPERVISOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := env.Client()
			if err != nil {
				return err
			}
			defer c.Close()
			return c.Control(cmd.Context(), args[0], verb)
		},
	}
}
