package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"drumlin/internal/table"
)

func newApplyCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "apply FILE",
		Short: "Submit a supervisor spec: create it, or update it",
		Long: `Submit a supervisor spec in YAML or JSON, Druid's Kafka supervisor spec included as it is. FILE may be - for
standard input. A spec that is wrong is refused as a whole, with every problem by its path. Applying the same spec
again changes nothing. Secrets in consumerProperties are never shown again.`,
		Example: `  drumlin apply configs/specs/wikipedia.yaml
  drumlin apply - < druid-supervisor.json`,
		Args: exactly("the FILE of a spec (or -)"),
		RunE: func(cmd *cobra.Command, args []string) error { return apply(cmd.Context(), env, args[0]) },
	}
}

func apply(ctx context.Context, env *Env, file string) error {
	spec, err := env.readInput(file)
	if err != nil {
		return err
	}
	c, err := env.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	submitted, err := c.Submit(ctx, spec)
	if err != nil {
		return err
	}
	for _, warning := range submitted.Warnings {
		env.Notef("warning: %s", table.Safe(warning))
	}
	_, err = fmt.Fprintln(env.Stdout, submitted.ID)
	return err
}
