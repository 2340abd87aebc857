package metamorphic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"

	"drumlin/query"
)

// sketches are the metrics whose column is a state.
var sketches = []string{"users", "prices"}

// metricColumns are all metrics of a rollup datasource, in the table's order.
var metricColumns = []string{
	"cnt", "n_sum", "n_min", "n_first", "price_sum", "price_max", "price_last", "user_last", "p1s", "users", "prices",
}

// allColumns are what a table shows beside __time.
func (t *table) allColumns() []string {
	if t.rollup {
		return append(t.columns(), metricColumns...)
	}
	return t.columns()
}

// answer is a result: values are nil, int64, float64, string or bool.
type answer struct {
	rows [][]any
	cut  query.Cut
}

func (w *world) ask(sql string, context map[string]any) (*answer, error) {
	a, err := w.engine.Query(w.ctx, query.Request{SQL: sql, Context: context})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	out := &answer{cut: a.Cut}
	for a.Next() {
		var line []any
		for i := range a.Columns {
			v, err := valueOf(a.AppendJSON(nil, i))
			if err != nil {
				return nil, errors.Join(fmt.Errorf("%s: %w", sql, err), a.Close())
			}
			line = append(line, v)
		}
		out.rows = append(out.rows, line)
	}
	return out, a.Close()
}

func valueOf(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	n, ok := v.(json.Number)
	if !ok {
		return v, nil
	}
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	return n.Float64()
}

// question is a statement with its answer in plain Go.
type question struct {
	sql  string
	want func([]shown) [][]any
}

// check asks a table for all that it shows, and mostly one question more.
func (w *world) check(r *rand.Rand, t *table) error {
	full := t.wholeTable()
	if err := w.checkOne(t, full, nil); err != nil || r.IntN(3) == 0 {
		return err
	}
	q, context := t.question(r), map[string]any(nil)
	if r.IntN(3) == 0 {
		q, context = []question{full, q}[r.IntN(2)], map[string]any{"cut": "committed"}
	}
	if err := w.checkOne(t, q, context); err != nil || r.IntN(4) > 0 {
		return err
	}
	return w.checkRejects(t)
}

func (w *world) checkOne(t *table, q question, context map[string]any) error {
	got, err := w.ask(q.sql, context)
	if err != nil {
		return err
	}
	want, err := w.expect(t, got.cut)
	if err != nil {
		return fmt.Errorf("%s: %w", q.sql, err)
	}
	if problem := difference(got.rows, q.want(want.rows)); problem != "" {
		return fmt.Errorf("%s %v at %s: %s", q.sql, context, cutText(got.cut), problem)
	}
	w.answers++
	w.activity.LateCopies = max(w.activity.LateCopies, want.lateCopies)
	return nil
}

// checkRejects counts what could not be read. Rejects of dropped buckets are hidden with them, and not counted here.
func (w *world) checkRejects(t *table) error {
	got, err := w.ask(fmt.Sprintf("SELECT COUNT(*) FROM sys.rejects WHERE datasource = '%s'", t.name), nil)
	if err != nil {
		return err
	}
	want, err := w.expect(t, got.cut)
	if err == nil && !want.dropped && got.rows[0][0] != want.rejects {
		err = fmt.Errorf("sys.rejects of %s at %s: %v, want %d", t.name, cutText(got.cut), got.rows[0][0], want.rejects)
	}
	return err
}

func cutText(c query.Cut) string {
	text, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (t *table) wholeTable() question {
	list := []string{"epoch_ms(__time)"}
	for _, c := range t.allColumns() {
		if slices.Contains(sketches, c) {
			c = fmt.Sprintf("base64(%s)", c)
		}
		list = append(list, c)
	}
	return question{
		sql: fmt.Sprintf("SELECT %s FROM %s ORDER BY __time", strings.Join(list, ", "), t.name),
		want: func(rows []shown) [][]any {
			var out [][]any
			for _, s := range rows {
				line := []any{s.millis}
				for _, c := range t.allColumns() {
					v := s.values[c]
					if text, ok := v.(string); ok && slices.Contains(sketches, c) {
						v = base64.StdEncoding.EncodeToString([]byte(text))
					}
					line = append(line, v)
				}
				out = append(out, line)
			}
			return out
		},
	}
}

// question makes a grouped or total aggregate under a random condition.
func (t *table) question(r *rand.Rand) question {
	where, keep := t.where(r)
	key, keyOf := t.groupKey(r)
	n, price := "n", "price"
	if t.rollup {
		n, price = "n_sum", "price_sum"
	}
	list := fmt.Sprintf("COUNT(*), SUM(%s), MIN(%s), MAX(%s), SUM(%s)", n, n, price, price)
	distinct := ""
	if !t.rollup {
		distinct = "id"
		list += ", COUNT(DISTINCT id)"
	}
	sql := fmt.Sprintf("SELECT %s, %s FROM %s%s GROUP BY 1", key, list, t.name, where)
	return question{sql: sql, want: func(rows []shown) [][]any {
		groups := map[any][]shown{}
		for _, s := range rows {
			if keep(s) {
				groups[keyOf(s)] = append(groups[keyOf(s)], s)
			}
		}
		var out [][]any
		for k, g := range groups {
			out = append(out, append([]any{k}, totals(g, n, price, distinct)...))
		}
		return out
	}}
}

func totals(rows []shown, n, price, distinct string) []any {
	out := []any{int64(len(rows)), nil, nil, nil, nil}
	ids := map[any]bool{}
	for _, s := range rows {
		if v, ok := s.values[n].(int64); ok {
			sum, _ := out[1].(int64)
			least, some := out[2].(int64)
			if !some {
				least = v
			}
			out[1], out[2] = sum+v, min(least, v)
		}
		if v, ok := s.values[price].(float64); ok {
			most, some := out[3].(float64)
			if !some {
				most = v
			}
			sum, _ := out[4].(float64)
			out[3], out[4] = max(most, v), sum+v
		}
		if id := s.values[distinct]; id != nil {
			ids[id] = true
		}
	}
	if distinct != "" {
		out = append(out, int64(len(ids)))
	}
	return out
}

func (t *table) where(r *rand.Rand) (string, func(shown) bool) {
	from := firstMillis + pick(r, logHours...)*hourMillis + r.Int64N(6)*600_000
	to := from + r.Int64N(4)*hourMillis + r.Int64N(hourMillis)
	switch r.IntN(6) {
	case 0:
		return fmt.Sprintf(" WHERE __time >= MILLIS_TO_TIMESTAMP(%d) AND __time < MILLIS_TO_TIMESTAMP(%d)", from, to),
			func(s shown) bool { return s.millis >= from && s.millis < to }
	case 1:
		at := from - from%hourMillis
		return fmt.Sprintf(" WHERE __time = MILLIS_TO_TIMESTAMP(%d) OR __time = MILLIS_TO_TIMESTAMP(%d)", from, at),
			func(s shown) bool { return s.millis == from || s.millis == at }
	case 2:
		return " WHERE page = 'p1' AND kind > -3", func(s shown) bool { return s.values["page"] == "p1" && s.values["kind"] != nil }
	case 3:
		return " WHERE country IS NULL", func(s shown) bool { return s.values["country"] == nil }
	case 4:
		n := "n"
		if t.rollup {
			n = "n_sum"
		}
		return fmt.Sprintf(" WHERE %s > 40 AND page <> 'p2'", n), func(s shown) bool {
			v, ok := s.values[n].(int64)
			return ok && v > 40 && s.values["page"] != nil && s.values["page"] != "p2"
		}
	}
	return "", func(shown) bool { return true }
}

func (t *table) groupKey(r *rand.Rand) (string, func(shown) any) {
	switch r.IntN(5) {
	case 0:
		return "page", func(s shown) any { return s.values["page"] }
	case 1:
		return "country", func(s shown) any { return s.values["country"] }
	case 2:
		return "epoch_ms(TIME_FLOOR(__time, 'PT1H'))", func(s shown) any { return s.millis - s.millis%hourMillis }
	case 3:
		return "epoch_ms(TIME_FLOOR(__time, 'P1D'))", func(s shown) any { return s.millis - s.millis%dayMillis }
	}
	return "1", func(shown) any { return int64(1) }
}

// difference says how two unordered results differ; doubles may by 1e-12.
func difference(got, want [][]any) string {
	order := func(rows [][]any) []string {
		sort.SliceStable(rows, func(i, j int) bool { return lineText(rows[i]) < lineText(rows[j]) })
		var out []string
		for _, r := range rows {
			out = append(out, lineText(r))
		}
		return out
	}
	a, b := order(got), order(want)
	if slices.Equal(a, b) && closeTo(got, want) {
		return ""
	}
	var more, less []string
	for _, line := range a {
		if at, ok := slices.BinarySearch(b, line); ok {
			b = slices.Delete(b, at, at+1)
		} else {
			more = append(more, line)
		}
	}
	less = b
	return fmt.Sprintf("%d rows, want %d\nonly in the answer:\n  %s\nonly in the oracle:\n  %s", len(got), len(want),
		strings.Join(more, "\n  "), strings.Join(less, "\n  "))
}

// lineText leaves out of doubles what rounding may change.
func lineText(line []any) string {
	out := ""
	for _, v := range line {
		if f, ok := number(v); ok {
			v = fmt.Sprintf("%.8g", f+0)
		}
		out += fmt.Sprintf(" %v", v)
	}
	return out
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), math.Abs(float64(v)) < 1e7
	}
	return 0, false
}

func closeTo(got, want [][]any) bool {
	for i := range got {
		for j := range got[i] {
			a, some := number(got[i][j])
			b, both := number(want[i][j])
			if some && both && math.Abs(a-b) > 1e-12*max(1, math.Abs(a), math.Abs(b)) && math.Abs(a-b) > 1e-10 {
				return false
			}
		}
	}
	return true
}
