package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"drumlin/api/client"
	"drumlin/internal/table"
)

// outputFormats are what --format takes, each with the result format that it asks the server for.
var outputFormats = map[string]string{
	"table": "", "json": "object", "object": "object", "array": "array", "jsonl": "objectLines",
	"objectLines": "objectLines", "arrayLines": "arrayLines", "csv": "csv",
}

// sqlFlags are the flags of drumlin sql.
type sqlFlags struct {
	file      string
	format    string
	params    []string
	context   []string
	timeout   time.Duration
	committed bool
	partial   bool
	noHeader  bool
	cut       bool
	quiet     bool
}

func newSQLCommand(env *Env) *cobra.Command {
	flags := &sqlFlags{}
	cmd := &cobra.Command{
		Use:   "sql [STATEMENT]",
		Short: "Ask a question in SQL",
		Long: `Run one SELECT over the datasources, hot and cold rows together, and over sys.segments, sys.supervisors,
sys.servers and sys.rejects. The statement is the argument, or comes from --file, or, with -, from standard input.

Rows go to standard output; their number, the time taken and, with --cut, the answer's cut go to standard error. The
cut says up to which offset of each partition records are counted. Ctrl-C ends the query on the server too.`,
		Example: `  drumlin sql "SELECT COUNT(*) FROM wikipedia"
  drumlin sql "SELECT TIME_FLOOR(__time, 'PT1H') AS hour, SUM(added) AS added FROM wikipedia GROUP BY 1 ORDER BY 1"
  drumlin sql "SELECT * FROM wikipedia WHERE channel = ? LIMIT 5" --param "#en.wikipedia" --format json
  drumlin sql --file report.sql --format csv > report.csv
  drumlin sql "SELECT reason, COUNT(*) FROM sys.rejects GROUP BY 1"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one statement: put it in quotes", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runSQL(cmd.Context(), env, flags, args) },
	}
	f := cmd.Flags()
	f.StringVarP(&flags.file, "file", "f", "", "read the statement from this file (- for standard input)")
	f.StringVar(&flags.format, "format", "table", "table, json, jsonl, array, arrayLines or csv")
	f.StringArrayVarP(&flags.params, "param", "p", nil,
		"value for the next ?: TYPE:VALUE, as in BIGINT:7, or a bare value (7, 1.5, text); may be repeated")
	f.StringArrayVar(&flags.context, "context", nil, "query context parameter name=value; may be repeated")
	f.DurationVar(&flags.timeout, "timeout", 0, "time limit of the query, as in 30s (default: the server's)")
	f.BoolVar(&flags.committed, "committed", false, "count committed rows only, without waiting for any owner of hot rows")
	f.BoolVar(&flags.partial, "allow-partial", false, "answer without the hot rows of owners that cannot be reached in time, and say so")
	f.BoolVar(&flags.noHeader, "no-header", false, "csv without the line of names")
	f.BoolVar(&flags.cut, "cut", false, "print the answer's cut to standard error")
	f.BoolVarP(&flags.quiet, "quiet", "q", false, "no line about rows and time")
	return cmd
}

func runSQL(ctx context.Context, env *Env, flags *sqlFlags, args []string) error {
	resultFormat, ok := outputFormats[flags.format]
	if !ok {
		return usagef("--format %q is not known: use table, json, jsonl, array, arrayLines or csv", flags.format)
	}
	query, err := buildQuery(env, flags, args)
	if err != nil {
		return err
	}
	c, err := env.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	started := time.Now()
	var info client.Info
	footer := ""
	if resultFormat == "" {
		result, err := c.SQL(ctx, query)
		if err != nil {
			endQuery(ctx, env, c, query)
			return err
		}
		took := time.Since(started)
		if err := writeResult(env, result); err != nil {
			return err
		}
		info, footer = result.Info, fmt.Sprintf("%s in %s", count(len(result.Rows), "row"), shortDuration(took))
	} else {
		info, err = c.SQLTo(ctx, env.Stdout, query, resultFormat, resultFormat == "csv" && !flags.noHeader)
		if err != nil {
			endQuery(ctx, env, c, query)
			return err
		}
		footer = "done in " + shortDuration(time.Since(started))
	}
	if !flags.quiet {
		env.Notef("%s", footer)
	}
	warnPartial(env, info.Partial)
	if flags.cut {
		if info.Cut == "" {
			return fmt.Errorf("the server sent no cut with the answer (query %s)", info.QueryID)
		}
		env.Notef("cut: %s", info.Cut)
	}
	return nil
}

const queryIDKey = "sqlQueryId"

// endQuery ends an interrupted query on the server, which need not notice that nobody listens any more: a proxy between may keep
// its connection open.
func endQuery(ctx context.Context, env *Env, c *client.Client, q client.Query) {
	const patience = 2 * time.Second
	id, ours := q.Context[queryIDKey].(string)
	if ctx.Err() == nil || !ours {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var refused *client.Error
	if err := c.CancelSQL(ctx, id); err != nil && !(errors.As(err, &refused) && refused.Status == http.StatusNotFound) {
		env.Notef("warning: the query %s may still run until its timeout: %v", id, err)
	}
}

// warnPartial tells of an answer that is not whole, also where lines about rows are not wanted.
func warnPartial(env *Env, p *client.Partial) {
	if p == nil {
		return
	}
	env.Notef("warning: the answer is not whole: rows past the committed ones are missing of %s", count(p.Missing, "partition"))
	for _, line := range p.Partitions {
		env.Notef("  %s", line)
	}
}

func buildQuery(env *Env, flags *sqlFlags, args []string) (client.Query, error) {
	q := client.Query{Context: map[string]any{queryIDKey: uuid.NewString()}}
	switch {
	case flags.file != "" && len(args) == 1:
		return q, usagef("give the statement or --file, not both")
	case flags.file == "" && len(args) == 0:
		return q, usagef(`a statement is missing: drumlin sql "SELECT …", --file FILE, or - for standard input`)
	case flags.file != "" || args[0] == "-":
		name := flags.file
		if name == "" {
			name = "-"
		}
		text, err := env.readInput(name)
		if err != nil {
			return q, err
		}
		q.SQL = string(text)
	default:
		q.SQL = args[0]
	}
	if strings.TrimSpace(q.SQL) == "" {
		return q, usagef("the statement is empty")
	}
	for _, text := range flags.params {
		p, err := parseParam(text)
		if err != nil {
			return q, err
		}
		q.Parameters = append(q.Parameters, p)
	}
	return q, fillContext(q.Context, flags)
}

func fillContext(into map[string]any, flags *sqlFlags) error {
	for _, text := range flags.context {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return usagef("--context %q must look like name=value", text)
		}
		if json.Valid([]byte(value)) {
			into[name] = json.RawMessage(value)
		} else {
			into[name] = value
		}
	}
	if flags.timeout < 0 {
		return usagef("--timeout must be positive")
	}
	if flags.timeout > 0 {
		into["timeout"] = max(1, flags.timeout.Milliseconds())
	}
	if flags.committed {
		into["cut"] = "committed"
	}
	if flags.partial {
		into["allowPartial"] = true
	}
	return nil
}

// paramTypes are the SQL types that a parameter may name.
var paramTypes = []string{
	"CHAR", "VARCHAR", "DECIMAL", "FLOAT", "REAL", "DOUBLE", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT",
	"TIMESTAMP", "DATE",
}

// parseParam reads TYPE:VALUE, or a bare value: an integer, a decimal number, else text.
func parseParam(text string) (client.Parameter, error) {
	name, value, ok := strings.Cut(text, ":")
	if ok && slices.Contains(paramTypes, strings.ToUpper(name)) {
		return typedParam(strings.ToUpper(name), value)
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return client.Parameter{Type: "BIGINT", Value: json.RawMessage(canonicalInt(text))}, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, "0123456789") && !isHex(text) {
		return client.Parameter{Type: "DOUBLE", Value: f}, nil
	}
	return client.Parameter{Type: "VARCHAR", Value: text}, nil
}

func typedParam(name, value string) (client.Parameter, error) {
	p := client.Parameter{Type: name, Value: value}
	switch name {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT":
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return p, usagef("--param %s:%s is not a whole number of 64 bits", name, value)
		}
		p.Value = json.RawMessage(canonicalInt(value))
	case "FLOAT", "REAL", "DOUBLE":
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return p, usagef("--param %s:%s is not a number", name, value)
		}
		p.Value = f
	case "BOOLEAN":
		b, err := strconv.ParseBool(value)
		if err != nil {
			return p, usagef("--param %s:%s is neither true nor false", name, value)
		}
		p.Value = b
	}
	return p, nil
}

// canonicalInt writes an integer as JSON does: "+7" and "007" are 7.
func canonicalInt(text string) string {
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return text
	}
	return strconv.FormatInt(i, 10)
}

func isHex(text string) bool { return strings.ContainsAny(text, "xX_") }

// writeResult draws the answer as a table.
func writeResult(env *Env, result *client.Result) error {
	t := &table.Table{Columns: make([]table.Column, len(result.Columns))}
	for i, c := range result.Columns {
		t.Columns[i] = table.Column{Name: c.Name, Right: numeric(c.SQLType)}
	}
	for _, row := range result.Rows {
		cells := make([]string, len(row))
		for i, value := range row {
			text, err := cellText(value)
			if err != nil {
				return fmt.Errorf("column %q of the answer: %w", t.Columns[i].Name, err)
			}
			cells[i] = text
		}
		t.Rows = append(t.Rows, cells)
	}
	return t.Write(env.Stdout, env.Width())
}

func numeric(sqlType string) bool {
	switch strings.ToUpper(sqlType) {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DECIMAL", "FLOAT", "REAL", "DOUBLE":
		return true
	}
	return false
}

// cellText shows strings without quotes, NULL by its name, and everything else as JSON.
func cellText(value json.RawMessage) (string, error) {
	value = bytes.TrimSpace(value)
	switch {
	case len(value) == 0 || string(value) == "null":
		return "NULL", nil
	case value[0] == '"':
		var text string
		err := json.Unmarshal(value, &text)
		return text, err
	}
	return string(value), nil
}
