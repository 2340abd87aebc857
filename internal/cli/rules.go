package cli

import (
	"github.com/spf13/cobra"

	"drumlin/api/client"
)

func newRulesCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Set and show how long a datasource's rows are kept",
		Long: `Retention rules are Druid's: a list of which the first that matches a time chunk decides whether it is kept (load…) or
dropped (drop…). What no rule matches is kept. Dropped rows do not come back: rules change what is kept from now on.`,
		Example: `  drumlin rules set events configs/rules/events.yaml
  drumlin rules get events`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	set := &cobra.Command{
		Use:   "set DATASOURCE FILE",
		Short: "Set a datasource's rules",
		Long:  "Set a datasource's retention rules, a list in YAML or JSON. FILE may be - for standard input. An empty list ([]) keeps all.",
		Example: `  drumlin rules set events configs/rules/events.yaml
  echo '[{type: loadByPeriod, period: P30D}, {type: dropForever}]' | drumlin rules set events -`,
		Args: exactly("the name of a DATASOURCE", "the FILE of rules (or -)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, err := env.readInput(args[1])
			if err != nil {
				return err
			}
			return withClient(env, func(c *client.Client) error {
				warnings, err := c.SetRules(cmd.Context(), args[0], rules)
				env.warn(warnings)
				return err
			})
		},
	}
	get := &cobra.Command{
		Use:     "get DATASOURCE",
		Short:   "Print a datasource's rules as JSON",
		Example: "  drumlin rules get events",
		Args:    exactly("the name of a DATASOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error {
				rules, err := c.Rules(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return writeIndented(env, rules)
			})
		},
	}
	cmd.AddCommand(set, get)
	return cmd
}
