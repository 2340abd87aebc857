package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"drumlin/api/client"
	"drumlin/internal/table"
)

const segmentsSQL = `SELECT "start", "end", state, num_rows, "size", topic, "partition", from_offset, to_offset, object
FROM sys.segments WHERE datasource = ?
ORDER BY "start", state, topic, "partition", from_offset, object`

func newSegmentsCommand(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "segments DATASOURCE",
		Short: "List a datasource's segments, hot and cold",
		Long: `List the segments that an answer reads at this moment: time chunk, state (hot in memory, cold in object
storage), rows, bytes, where the rows came from, and the object. It is a query on sys.segments.`,
		Example: `  drumlin segments wikipedia
  drumlin sql "SELECT datasource, COUNT(*), SUM(num_rows) FROM sys.segments GROUP BY 1"`,
		Args: exactly("the name of a DATASOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error { return segments(cmd.Context(), env, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	return cmd
}

func segments(ctx context.Context, env *Env, datasource string, asJSON bool) error {
	c, err := env.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	query := client.Query{SQL: segmentsSQL, Parameters: []client.Parameter{{Type: "VARCHAR", Value: datasource}}}
	if asJSON {
		_, err := c.SQLTo(ctx, env.Stdout, query, "objectLines", false)
		return err
	}
	result, err := c.SQL(ctx, query)
	if err != nil {
		return err
	}
	if len(result.Rows) == 0 {
		return noSegments(ctx, env, c, datasource)
	}
	return writeSegments(env, result)
}

// noSegments tells a datasource without rows from one that does not exist.
func noSegments(ctx context.Context, env *Env, c *client.Client, datasource string) error {
	supervisors, err := c.Supervisors(ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(supervisors))
	for _, s := range supervisors {
		names = append(names, s.DataSource)
	}
	if slices.Contains(names, datasource) {
		env.Notef("%s has no segments yet", datasource)
		return nil
	}
	known := "there is none yet: submit a spec with `drumlin apply FILE`"
	if len(names) > 0 {
		known = "there are " + strings.Join(names, ", ")
	}
	return fmt.Errorf("there is no datasource %q; %s", datasource, known)
}

// segmentRow is one row of segmentsSQL.
type segmentRow struct {
	start, end, state string
	rows, bytes       int64
	source, object    string
}

func writeSegments(env *Env, result *client.Result) error {
	t := &table.Table{Columns: []table.Column{
		{Name: "chunk"},
		{Name: "state"},
		{Name: "rows", Right: true},
		{Name: "size", Right: true},
		{Name: "source"},
		{Name: "object"},
	}}
	var rows, bytes, hot int64
	for _, cells := range result.Rows {
		s, err := readSegment(cells)
		if err != nil {
			return err
		}
		rows, bytes = rows+s.rows, bytes+s.bytes
		if s.state == "hot" {
			hot += s.rows
		}
		t.Rows = append(t.Rows, []string{
			chunkText(s.start, s.end), s.state, strconv.FormatInt(s.rows, 10), byteSize(s.bytes), s.source, s.object,
		})
	}
	if err := t.Write(env.Stdout, env.Width()); err != nil {
		return err
	}
	env.Notef("%s, %s (%s hot), %s", count(len(result.Rows), "segment"), count(int(rows), "row"), thousands(hot), byteSize(bytes))
	return nil
}

func readSegment(cells []json.RawMessage) (segmentRow, error) {
	const columns = 10
	if len(cells) != columns {
		return segmentRow{}, fmt.Errorf("sys.segments answered %d columns, not %d", len(cells), columns)
	}
	text := make([]string, columns)
	for i, cell := range cells {
		var err error
		if text[i], err = cellText(cell); err != nil {
			return segmentRow{}, fmt.Errorf("read sys.segments: %w", err)
		}
		if string(cell) == "null" {
			text[i] = ""
		}
	}
	s := segmentRow{start: text[0], end: text[1], state: text[2], object: text[9]}
	var err error
	if s.rows, err = strconv.ParseInt(text[3], 10, 64); err != nil {
		return s, fmt.Errorf("read num_rows of sys.segments: %w", err)
	}
	if s.bytes, err = strconv.ParseInt(text[4], 10, 64); err != nil {
		return s, fmt.Errorf("read size of sys.segments: %w", err)
	}
	if text[5] != "" {
		s.source = fmt.Sprintf("%s/%s [%s, %s)", text[5], text[6], text[7], text[8])
	}
	return s, nil
}

// chunkText shortens an interval in ISO 8601: to days where both ends are midnights, else to minutes, else to seconds.
func chunkText(start, end string) string {
	start, end = strings.TrimSuffix(start, ".000Z"), strings.TrimSuffix(end, ".000Z")
	for _, zero := range []string{"T00:00:00", ":00"} {
		if strings.HasSuffix(start, zero) && strings.HasSuffix(end, zero) {
			return strings.TrimSuffix(start, zero) + "/" + strings.TrimSuffix(end, zero)
		}
	}
	return start + "/" + end
}
