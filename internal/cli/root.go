package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `Drumlin streams Kafka topics into segments and answers SQL over all of their records, each exactly once.

Start a server with everything in one process, describe what to read, and ask:

  drumlin dev &
  drumlin apply configs/specs/events.yaml
  drumlin sql "SELECT event, COUNT(*) AS n FROM events GROUP BY 1 ORDER BY 2 DESC"

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no server answers, 130 interrupted.`

// NewRoot returns the command "drumlin" with the verbs of this package and the given further ones.
func NewRoot(env *Env, version string, further ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:           "drumlin",
		Short:         "Kafka topics in, exact SQL answers out",
		Long:          rootLong,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	root.AddGroup(&cobra.Group{ID: groupUse, Title: "Talk to a server:"}, &cobra.Group{ID: groupRun, Title: "Run and feed one:"})
	for _, cmd := range []*cobra.Command{
		newApplyCommand(env), newSQLCommand(env), newStatusCommand(env), newSegmentsCommand(env), newHandoffCommand(env), newGapCommand(env),
		newCompactCommand(env), newTaskCommand(env), newAutoCompactCommand(env), newRulesCommand(env),
		newGetCommand(env), newControlCommand(env, "suspend", "Stop reading, keep everything that was read"),
		newControlCommand(env, "resume", "Read on where a suspended supervisor stopped"),
	} {
		cmd.GroupID = groupUse
		env.ServerFlags(cmd)
		root.AddCommand(cmd)
	}
	for _, cmd := range further {
		cmd.GroupID = groupRun
		root.AddCommand(cmd)
	}
	return root
}

const (
	groupUse = "use"
	groupRun = "run"
)

// knownCommand refuses the name of a command that does not exist, and suggests those that are near.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := fmt.Sprintf("there is no command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("%s", message)
}

// NoArguments refuses arguments, and says what may have been meant; empty: nothing comes to mind.
func NoArguments(instead string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		err := fmt.Errorf("%s takes no arguments: %q is too much", cmd.CommandPath(), args[0])
		if instead == "" {
			return Usage(err)
		}
		return UsageHint(err, instead)
	}
}

// exactly demands the named arguments, no more and no fewer.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s needs %s", cmd.CommandPath(), strings.Join(names[len(args):], " and "))
		case len(args) > len(names):
			return usagef("%s takes only %s; %q is too much", cmd.CommandPath(), strings.Join(names, " and "), args[len(names)])
		}
		return nil
	}
}
