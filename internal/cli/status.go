package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"drumlin/api/client"
	"drumlin/internal/table"
)

func newStatusCommand(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [SUPERVISOR]",
		Short: "Show supervisors and their partitions: lag, hot rows, last commit",
		Long: `Show every supervisor, or one, with each partition: who owns it, up to which offset its records are committed,
how many rows are hot in memory, how far it lags behind the broker's end, and why it has halted, if it has.`,
		Example: `  drumlin status
  drumlin status wikipedia --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one supervisor's id at most", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return status(cmd.Context(), env, args, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the server's reports as JSON")
	return cmd
}

func status(ctx context.Context, env *Env, ids []string, asJSON bool) error {
	c, err := env.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	one := len(ids) == 1
	if !one {
		supervisors, err := c.Supervisors(ctx)
		if err != nil {
			return err
		}
		for _, s := range supervisors {
			ids = append(ids, s.ID)
		}
	}
	if asJSON {
		return statusJSON(ctx, env, c, ids, one)
	}
	if err := c.Ready(ctx); err != nil {
		env.Notef("the server is not ready to answer yet: %s", table.Safe(err.Error()))
	}
	if len(ids) == 0 {
		env.Notef("there is no supervisor yet: submit a spec with `drumlin apply FILE`")
		return nil
	}
	reports := make([]*client.Status, 0, len(ids))
	for _, id := range ids {
		report, err := c.Status(ctx, id)
		if err != nil {
			return err
		}
		reports = append(reports, report)
	}
	return writeStatus(env, reports)
}

// statusJSON prints one report, or a list of all.
func statusJSON(ctx context.Context, env *Env, c *client.Client, ids []string, one bool) error {
	reports := make([]json.RawMessage, 0, len(ids))
	for _, id := range ids {
		report, err := c.StatusJSON(ctx, id)
		if err != nil {
			return err
		}
		if one {
			return writeIndented(env, report)
		}
		reports = append(reports, report)
	}
	text, err := json.Marshal(reports)
	if err != nil {
		return fmt.Errorf("encode the reports: %w", err)
	}
	return writeIndented(env, text)
}

func writeStatus(env *Env, reports []*client.Status) error {
	supervisors := &table.Table{Columns: []table.Column{
		{Name: "supervisor"},
		{Name: "datasource"},
		{Name: "state"},
		{Name: "stream"},
		{Name: "partitions", Right: true},
		{Name: "hot rows", Right: true},
		{Name: "lag", Right: true},
	}}
	for _, r := range reports {
		p := &r.Payload
		supervisors.Rows = append(supervisors.Rows, []string{
			r.ID, p.DataSource, stateText(p), p.Stream, strconv.Itoa(len(p.PartitionStatus)),
			thousands(hotRows(p.PartitionStatus)), known(totalLag(p)),
		})
	}
	if err := supervisors.Write(env.Stdout, env.Width()); err != nil {
		return err
	}
	if partitions := partitionTable(reports); len(partitions.Rows) > 0 {
		if _, err := io.WriteString(env.Stdout, "\n"); err != nil {
			return err
		}
		if err := partitions.Write(env.Stdout, env.Width()); err != nil {
			return err
		}
	}
	return writeTroubles(env, reports)
}

func partitionTable(reports []*client.Status) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Name: "supervisor"},
		{Name: "topic"},
		{Name: "partition", Right: true},
		{Name: "owner"},
		{Name: "state"},
		{Name: "committed", Right: true},
		{Name: "end", Right: true},
		{Name: "lag", Right: true},
		{Name: "hot rows", Right: true},
		{Name: "hot size", Right: true},
		{Name: "last commit"},
	}}
	for _, r := range reports {
		for _, p := range r.Payload.PartitionStatus {
			commit := p.LastCommit
			if commit == "" {
				commit = "never"
			}
			t.Rows = append(t.Rows, []string{
				r.ID, p.Topic, strconv.Itoa(int(p.Partition)), ownerText(p.Owner), p.State, committed(p.CommittedOffset),
				plainKnown(p.LatestOffset), known(p.Lag), thousands(p.HotRows), byteSize(p.HotBytes), commit,
			})
		}
	}
	return t
}

// ownerText shortens node ids that are UUIDs: their first group tells the nodes of a cluster apart.
func ownerText(node string) string {
	const uuidBytes, groupBytes = 36, 8
	switch {
	case node == "":
		return "nobody"
	case len(node) == uuidBytes && node[groupBytes] == '-':
		return node[:groupBytes]
	}
	return node
}

// writeTroubles prints, below the tables, what was lost, why partitions have halted, and what went wrong lately.
func writeTroubles(env *Env, reports []*client.Status) error {
	for _, r := range reports {
		for _, p := range r.Payload.PartitionStatus {
			if lost := p.Counters.Lost; lost > 0 {
				if _, err := fmt.Fprintf(env.Stdout, "\n%s: partition %d of topic %s: %s lost for ever, and accepted as such\n",
					table.Safe(r.ID), p.Partition, table.Safe(p.Topic), count(int(lost), "record")); err != nil {
					return err
				}
			}
			if p.UndecidedRecords > 0 {
				if _, err := fmt.Fprintf(env.Stdout, "\n%s: %s of partition %d of topic %s wait for the end of an open transaction, since %s\n",
					table.Safe(r.ID), count(int(p.UndecidedRecords), "record"), p.Partition, table.Safe(p.Topic), table.Safe(p.UndecidedSince)); err != nil {
					return err
				}
			}
			if p.Halted == "" {
				continue
			}
			if _, err := fmt.Fprintf(env.Stdout, "\n%s: partition %d of topic %s has halted (%s): %s\n",
				table.Safe(r.ID), p.Partition, table.Safe(p.Topic), table.Safe(p.Halted), table.Safe(p.Error)); err != nil {
				return err
			}
		}
		for _, e := range r.Payload.RecentErrors {
			if told(r, e.Message) {
				continue
			}
			if _, err := fmt.Fprintf(env.Stdout, "\n%s: %s\n",
				table.Safe(r.ID), table.Safe(strings.TrimSpace(e.Timestamp+" "+e.Message))); err != nil {
				return err
			}
		}
	}
	return nil
}

// told says whether an error is that of a halted partition, which has its own line.
func told(r *client.Status, message string) bool {
	for _, p := range r.Payload.PartitionStatus {
		if p.Halted != "" && p.Error != "" && strings.HasSuffix(message, p.Error) {
			return true
		}
	}
	return false
}

func stateText(p *client.StatusPayload) string {
	if p.DetailedState != "" && p.DetailedState != p.State {
		return p.State + " (" + p.DetailedState + ")"
	}
	return p.State
}

func hotRows(partitions []client.PartitionStatus) int64 {
	var sum int64
	for _, p := range partitions {
		sum += p.HotRows
	}
	return sum
}

// totalLag is the report's, else the sum over the partitions, else nil where one of them is not known.
func totalLag(p *client.StatusPayload) *int64 {
	if p.AggregateLag != nil {
		return p.AggregateLag
	}
	var sum int64
	for _, part := range p.PartitionStatus {
		if part.Lag == nil {
			return nil
		}
		sum += *part.Lag
	}
	return &sum
}

// committed is a dash where nothing has ever been begun.
func committed(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

func known(n *int64) string {
	if n == nil {
		return "?"
	}
	return thousands(*n)
}

func plainKnown(n *int64) string {
	if n == nil {
		return "?"
	}
	return strconv.FormatInt(*n, 10)
}
