package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"drumlin/api/client"
	"drumlin/internal/table"
)

func newGapCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gap",
		Short: "List partitions that have halted, and accept what is lost",
		Long: `A partition halts where going on would leave something out without a word: the topic's retention has deleted records
before they were read, the topic was deleted and created again, the log was truncated. Everything else goes on, answers
stay exact, and a partition that has halted waits for a decision.

Where records are lost, nothing brings them back: accept the exact range, so that it is recorded as lost and counted as
such for ever, and the partition is read on behind it. Other halts say what to do.`,
		Example: `  drumlin gap list
  drumlin gap accept events --topic events --partition 3 --from 20 --to 40`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGapListCommand(env), newGapAcceptCommand(env))
	return cmd
}

func newGapListCommand(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [SUPERVISOR]",
		Short: "List halted partitions, why they halted, and what is lost",
		Example: `  drumlin gap list
  drumlin gap list events --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one supervisor's id at most", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error { return listGaps(cmd.Context(), env, c, args, asJSON) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the server's answers as JSON, by supervisor")
	return cmd
}

func listGaps(ctx context.Context, env *Env, c *client.Client, ids []string, asJSON bool) error {
	if len(ids) == 0 {
		supervisors, err := c.Supervisors(ctx)
		if err != nil {
			return err
		}
		for _, s := range supervisors {
			ids = append(ids, s.ID)
		}
	}
	found := make(map[string]*client.Gaps, len(ids))
	for _, id := range ids {
		gaps, err := c.Gaps(ctx, id)
		if err != nil {
			return err
		}
		found[id] = gaps
		for _, u := range gaps.Unanswered {
			env.Notef("warning: %s", table.Safe(u))
		}
	}
	if asJSON {
		text, err := json.Marshal(found)
		if err != nil {
			return fmt.Errorf("encode the answers: %w", err)
		}
		return writeIndented(env, text)
	}
	return writeGaps(env, ids, found)
}

func writeGaps(env *Env, ids []string, found map[string]*client.Gaps) error {
	t := &table.Table{Columns: []table.Column{
		{Name: "supervisor"},
		{Name: "topic"},
		{Name: "partition", Right: true},
		{Name: "owner"},
		{Name: "halted for"},
		{Name: "lost offsets"},
		{Name: "records", Right: true},
		{Name: "since"},
	}}
	var notes []string
	for _, id := range ids {
		for _, g := range found[id].Gaps {
			lost, records := "-", "-"
			if r, ok := lostRange(g); ok {
				lost, records = fmt.Sprintf("[%d, %d)", r.From, r.To), thousands(r.To-r.From)
				notes = append(notes, fmt.Sprintf("To go on without them: drumlin gap accept %s --topic %s --partition %d --from %d --to %d",
					shellWord(id), shellWord(r.Topic), r.Partition, r.From, r.To))
			} else {
				notes = append(notes, fmt.Sprintf("%s: partition %d of topic %s: %s", id, g.Partition, g.Topic, g.Message))
			}
			t.Rows = append(t.Rows, []string{
				id, g.Topic, strconv.Itoa(int(g.Partition)), ownerText(g.Owner), g.Reason, lost, records, g.Since,
			})
		}
	}
	if len(t.Rows) == 0 {
		env.Notef("no partition has halted")
		return nil
	}
	if err := t.Write(env.Stdout, env.Width()); err != nil {
		return err
	}
	for _, n := range notes {
		if _, err := fmt.Fprintf(env.Stdout, "\n%s\n", table.Safe(n)); err != nil {
			return err
		}
	}
	return nil
}

// lostRange is the range that a halted partition has lost; false where it has halted for another reason.
func lostRange(g client.Gap) (client.GapRange, bool) {
	if g.From == nil || g.To == nil {
		return client.GapRange{}, false
	}
	return client.GapRange{Topic: g.Topic, Partition: g.Partition, From: *g.From, To: *g.To}, true
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:/", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func newGapAcceptCommand(env *Env) *cobra.Command {
	var (
		g   client.GapRange
		all bool
	)
	cmd := &cobra.Command{
		Use:   "accept SUPERVISOR",
		Short: "Record lost offsets as lost, and read on behind them",
		Long: `Accept that the offsets from --from up to, but not including, --to are lost: the log no longer holds them, and
nothing will. They are committed as lost, which the counters show for ever, and the partition is read on at --to. The
range must be exactly the one that "drumlin gap list" shows: if more has been lost meanwhile, this is refused.

--all accepts everything that the supervisor's partitions have lost at this moment.`,
		Example: `  drumlin gap accept events --topic events --partition 3 --from 20 --to 40
  drumlin gap accept events --all`,
		Args: exactly("the id of a SUPERVISOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkGapFlags(cmd, all); err != nil {
				return err
			}
			return withClient(env, func(c *client.Client) error {
				if all {
					return acceptAll(cmd.Context(), env, c, args[0])
				}
				return acceptGap(cmd.Context(), env, c, args[0], g)
			})
		},
	}
	cmd.Flags().StringVar(&g.Topic, "topic", "", "topic of the partition")
	cmd.Flags().Int32Var(&g.Partition, "partition", 0, "number of the partition")
	cmd.Flags().Int64Var(&g.From, "from", 0, "first lost offset")
	cmd.Flags().Int64Var(&g.To, "to", 0, "first offset after the lost ones")
	cmd.Flags().BoolVar(&all, "all", false, "accept every lost range of the supervisor")
	return cmd
}

// checkGapFlags demands the whole range, or --all instead of it.
func checkGapFlags(cmd *cobra.Command, all bool) error {
	var given, missing []string
	for _, name := range []string{"topic", "partition", "from", "to"} {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		} else {
			missing = append(missing, "--"+name)
		}
	}
	switch {
	case all && len(given) > 0:
		return usagef("--all accepts everything that is lost: leave out %s", strings.Join(given, ", "))
	case !all && len(missing) > 0:
		return usagef("%s needs %s, as `drumlin gap list` shows them; or --all", cmd.CommandPath(), strings.Join(missing, ", "))
	}
	return nil
}

func acceptGap(ctx context.Context, env *Env, c *client.Client, id string, g client.GapRange) error {
	if err := c.AcceptGap(ctx, id, g); err != nil {
		return err
	}
	_, err := fmt.Fprintf(env.Stdout, "%s/%d [%d, %d): %s lost, recorded\n", table.Safe(g.Topic), g.Partition, g.From, g.To,
		count(int(g.To-g.From), "record"))
	return err
}

// acceptAll accepts one range after the other. One that is refused holds up none of the others.
func acceptAll(ctx context.Context, env *Env, c *client.Client, id string) error {
	gaps, err := c.Gaps(ctx, id)
	if err != nil {
		return err
	}
	var errs []error
	for _, u := range gaps.Unanswered {
		errs = append(errs, errors.New(u))
	}
	lost := slices.DeleteFunc(slices.Clone(gaps.Gaps), func(g client.Gap) bool { _, ok := lostRange(g); return !ok })
	for _, g := range lost {
		r, _ := lostRange(g)
		if err := acceptGap(ctx, env, c, id, r); err != nil {
			errs = append(errs, err)
		}
	}
	for _, g := range gaps.Gaps {
		if _, ok := lostRange(g); !ok {
			errs = append(errs, fmt.Errorf("partition %d of topic %s has halted for another reason: %s", g.Partition, g.Topic, g.Message))
		}
	}
	if len(lost) == 0 && len(errs) == 0 {
		env.Notef("nothing is lost in %s", id)
	}
	return errors.Join(errs...)
}
