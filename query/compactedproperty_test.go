package query

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"drumlin/catalog"
	"drumlin/internal/testkit"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

const worldMetrics = `[
	{"type":"count","name":"cnt"},
	{"type":"longSum","name":"n","fieldName":"n"},
	{"type":"doubleSum","name":"price_sum","fieldName":"price"},
	{"type":"floatSum","name":"float_sum","fieldName":"price"},
	{"type":"longMin","name":"n_min","fieldName":"n"},
	{"type":"doubleMax","name":"price_max","fieldName":"price"},
	{"type":"longFirst","name":"n_first","fieldName":"n"},
	{"type":"stringLast","name":"page_last","fieldName":"page"},
	{"type":"filtered","filter":{"type":"selector","dimension":"page","value":"p1"},"aggregator":{"type":"count","name":"p1s"}},
	{"type":"hyperUnique","name":"pages","fieldName":"page"}
]`

// TestCompactionDoesNotShow takes random logs through random handoffs, merges, folds, coarser folds and narrower plans, and
// asks after each step: the answers must be those that plain Go computes from the log, whether owners of hot rows give all
// they have or no more than they are asked for.
func TestCompactionDoesNotShow(t *testing.T) {
	w := newWorld(t)
	engines := []*Engine{w.engine(), w.engine(func(o *Options) { o.Hot = strict{w} })}
	for i, seed := range seeds(t, 1) {
		for _, kind := range []string{"rollup", "rollup without dedup", "raw", "raw without dedup"} {
			r := rand.New(rand.NewPCG(seed, uint64(len(kind))))
			name := fmt.Sprintf("table%d_%d", i, len(kind))
			c := randomCompacted(t, w, r, name, strings.HasPrefix(kind, "rollup"), !strings.HasSuffix(kind, "without dedup"))
			for step := range testkit.Rounds(8, 3) {
				what := c.step(r)
				c.check(t, engines[r.IntN(2)], r, fmt.Sprintf("seed %d %s step %d (%s)", seed, kind, step, what))
			}
			delete(w.tables, name)
		}
	}
}

func randomCompacted(t *testing.T, w *world, r *rand.Rand, name string, rolledUp, dedup bool) *compacted {
	t.Helper()
	columns := []segment.Column{
		column("page", segment.TypeString), column("kind", segment.TypeDouble), column("n", segment.TypeLong), column("price", segment.TypeDouble),
	}
	dimensions := []string{"page", "kind", "n", "price"}
	own := &rollup.Definition{}
	own.QueryGranularity = pick(r, spec.Granularity{}, granularity(t, "minute"), granularity(t, "ten_minute"))
	if rolledUp {
		metrics, _, err := rollup.ParseMetrics([]byte(worldMetrics))
		if err != nil {
			t.Fatal(err)
		}
		dimensions = dimensions[:2]
		own.Rollup, own.Dimensions, own.Metrics = true, dimensions, metrics
	}
	return newCompacted(w, name, dedup, 1+r.IntN(3), columns, dimensions, own)
}

func granularity(t testing.TB, name string) spec.Granularity {
	t.Helper()
	g, err := spec.ParseGranularity(name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// step lets rows arrive and does one thing to what is there.
func (c *compacted) step(r *rand.Rand) string {
	for _, p := range c.tab.partitions {
		for range r.IntN(14) {
			row := worldRow{
				millis: t0 + r.Int64N(3)*hour + r.Int64N(6)*600_000 + r.Int64N(4)*20_000,
				values: []any{
					pick[any](r, "p1", "p2", "p3", nil), pick[any](r, 0.0, math.Copysign(0, -1), 1.5, math.NaN(), math.Inf(1), nil),
					pick[any](r, r.Int64N(200)-50, nil), pick[any](r, float64(r.IntN(400))/4-20, nil),
				},
			}
			if r.IntN(6) > 0 {
				row.key = fmt.Sprintf("key%d", r.IntN(25))
			}
			if r.IntN(15) == 0 {
				row.reject = "unparseable"
			}
			p.add(row)
		}
		if r.IntN(2) == 0 {
			c.handoff(r, p, p.committed+r.Int64N(p.next-p.committed+1))
		}
	}
	switch r.IntN(12) {
	case 0, 1:
		return "nothing"
	case 2, 3:
		return "merged " + c.mergeTail(r)
	}
	at := t0 + r.Int64N(3)*hour
	span := segment.Bucket{StartMillis: at, EndMillis: at + hour}
	if b := c.tab.bucketView(span); len(b.Members) > 1 {
		span = b.Bucket
	}
	if view := c.tab.bucketView(span); view.Dropped() {
		return "nothing"
	} else if r.IntN(12) == 0 {
		c.drop(view)
		return fmt.Sprint("dropped ", span)
	}
	d := c.definition(c.tab.bucketView(span).PlanSpec)
	if wider := (segment.Bucket{StartMillis: span.StartMillis, EndMillis: span.EndMillis + hour}); r.IntN(3) == 0 && c.uniform(wider) {
		span = wider
	}
	what := "compacted"
	if r.IntN(2) == 0 {
		if narrower, err := d.Narrow(c.change(r, d), c.tab.schema); err == nil {
			d, what = narrower, "narrowed"
		}
	}
	c.compact(span, d)
	return fmt.Sprintf("%s %v by %s", what, span, c.tab.buckets[span].PlanSpec)
}

// uniform says whether the buckets of a span have one plan and share manifests with none outside.
func (c *compacted) uniform(span segment.Bucket) bool {
	plan := c.tab.bucketView(segment.Bucket{StartMillis: span.StartMillis, EndMillis: span.StartMillis + hour}).PlanSpec
	for at := span.StartMillis; at < span.EndMillis; at += hour {
		b := c.tab.bucketView(segment.Bucket{StartMillis: at, EndMillis: at + hour})
		if b.Dropped() || string(b.PlanSpec) != string(plan) || b.Bucket.StartMillis < span.StartMillis || b.Bucket.EndMillis > span.EndMillis {
			return false
		}
	}
	return true
}

func (c *compacted) change(r *rand.Rand, d *rollup.Definition) rollup.Change {
	out := rollup.Change{}
	if r.IntN(2) == 0 {
		g := granularity(c.w.t, pick(r, "minute", "ten_minute", "hour"))
		out.QueryGranularity = &g
	}
	switch r.IntN(4) {
	case 0:
		out.Dimensions = []string{"page"}
	case 1:
		out.Exclusions = []string{"page"}
	}
	if r.IntN(4) == 0 && d != nil && len(d.Metrics) > 2 {
		out.Metrics = d.Metrics[:len(d.Metrics)-1]
	}
	var text string
	switch r.IntN(4) {
	case 0:
		text = fmt.Sprintf(`{"type":"not","field":{"type":"bound","dimension":"__time","lower":"%d","upper":"%d","upperStrict":true,"ordering":"numeric"}}`,
			t0+r.Int64N(3)*hour, t0+3*hour)
	case 1:
		text = `{"type":"in","dimension":"page","values":["p2",null]}`
	case 2:
		text = `{"type":"bound","dimension":"kind","lower":"0","ordering":"numeric"}`
	}
	if text != "" {
		var err error
		if out.Filter, err = rollup.ParseFilter([]byte(text)); err != nil {
			c.w.t.Fatal(err)
		}
	}
	return out
}

// handoff commits; without dedup, rollup rows may be folded on the way.
func (c *compacted) handoff(r *rand.Rand, p *worldPartition, to int64) {
	c.w.t.Helper()
	from := p.committed
	c.w.commit(c.tab, p, to)
	if !c.rollup() || c.tab.schema.Dedup || to == from || r.IntN(3) == 0 {
		return
	}
	unit := fmt.Sprintf("commit/%d", c.w.revision)
	for _, b := range c.tab.buckets {
		var tail []catalog.TailSegment
		for _, s := range b.Tail {
			if s.Unit != unit {
				tail = append(tail, s)
				continue
			}
			rec := c.record(c.rowsOf(s.Meta))
			for _, m := range c.writeFolded(s.Bucket, c.compile(c.own), rec) {
				tail = append(tail, catalog.TailSegment{Meta: m, Unit: unit})
			}
			rec.Release()
		}
		b.Tail = tail
	}
}

// rowsOf are the rows of the log that a segment of the tail was made from.
func (c *compacted) rowsOf(metas ...segment.Meta) []placedRow {
	var out []placedRow
	seen := map[string]bool{}
	for _, p := range c.tab.partitions {
		for _, row := range p.rows {
			if row.reject != "" {
				continue
			}
			for _, m := range metas {
				if hourOf(row.millis) == m.Bucket.StartMillis && slices.ContainsFunc(m.Sources, func(s segment.OffsetRange) bool {
					return s.Partition == p.key.Partition && s.From <= row.offset && row.offset < s.To
				}) {
					if !c.tab.schema.Dedup || row.key == "" || !seen[row.key] {
						out = append(out, placedRow{placed{p.key.Partition, row.offset}, row})
					}
					seen[row.key] = true
					break
				}
			}
		}
	}
	return out
}

// mergeTail merges two raw segments of one hour's tail into one unit.
func (c *compacted) mergeTail(r *rand.Rand) string {
	for _, b := range c.tab.buckets {
		for i := range b.Tail {
			for j := range i {
				first, second := b.Tail[j], b.Tail[i]
				if first.Folded || second.Folded || first.Bucket != second.Bucket || r.IntN(2) == 0 {
					continue
				}
				rows := c.rowsOf(first.Meta, second.Meta)
				rec := c.record(rows)
				m := c.object(first.Bucket, rec, nil, 0)
				rec.Release()
				m.Sources = append(slices.Clone(first.Sources), second.Sources...)
				b.Tail = append(slices.DeleteFunc(b.Tail, func(s catalog.TailSegment) bool {
					return s.Object == first.Object || s.Object == second.Object
				}), catalog.TailSegment{Meta: m, Unit: m.Object})
				c.w.revision++
				return m.Object
			}
		}
	}
	return "nothing"
}

func (c *compacted) names() []string {
	if c.rollup() {
		return []string{"page", "kind", "cnt", "n", "price_sum", "float_sum", "n_min", "price_max", "n_first", "page_last", "p1s"}
	}
	return []string{"page", "kind", "n", "price"}
}

func (c *compacted) check(t *testing.T, e *Engine, r *rand.Rand, place string) {
	t.Helper()
	name := c.tab.datasource.Name
	ask := func(sql string, context map[string]any, want func([]shownRow) []string) {
		t.Helper()
		lines, a, err := ask(e, Request{SQL: sql, Context: context})
		if err != nil {
			t.Fatalf("%s: %s: %v", place, sql, err)
		}
		expected := want(c.table(a.Cut))
		sort.Strings(lines)
		sort.Strings(expected)
		if fmt.Sprint(lines) != fmt.Sprint(expected) {
			t.Fatalf("%s: %s:\ngot  %s\nwant %s", place, sql, strings.Join(lines, "\n     "), strings.Join(expected, "\n     "))
		}
	}
	list := "epoch_ms(__time)"
	for _, n := range c.names() {
		list += ", CAST(" + n + " AS VARCHAR)"
	}
	all := func(keep func(shownRow) bool) func([]shownRow) []string {
		return func(rows []shownRow) []string {
			var out []string
			for _, row := range rows {
				if keep(row) {
					out = append(out, c.line(row))
				}
			}
			return out
		}
	}
	near := func() int64 { return t0 + r.Int64N(19)*600_000 + r.Int64N(5)*20_000 }
	from, at := near(), near()
	to := from + r.Int64N(3)*r.Int64N(hour)
	queries := []func(context map[string]any){
		func(context map[string]any) {
			ask("SELECT "+list+" FROM "+name, context, all(func(shownRow) bool { return true }))
		},
		func(context map[string]any) {
			ask(fmt.Sprintf("SELECT %s FROM %s WHERE __time >= MILLIS_TO_TIMESTAMP(%d) AND __time < MILLIS_TO_TIMESTAMP(%d)", list, name, from, to),
				context, all(func(r shownRow) bool { return r.millis >= from && r.millis < to }))
		},
		func(context map[string]any) { // one chunk, whatever it was truncated to
			for _, millis := range []int64{at, at - at%60_000, at - at%600_000, hourOf(at)} {
				ask(fmt.Sprintf("SELECT %s FROM %s WHERE __time = MILLIS_TO_TIMESTAMP(%d)", list, name, millis), context,
					all(func(r shownRow) bool { return r.millis == millis }))
			}
		},
		func(context map[string]any) {
			ask("SELECT "+list+" FROM "+name+" WHERE page = 'p1' AND kind < 'inf'", context, all(func(r shownRow) bool {
				return r.values["page"] == `"p1"` && (r.values["kind"] == `"1.5"` || strings.HasSuffix(r.values["kind"], `0.0"`))
			}))
		},
		func(context map[string]any) {
			ask("SELECT "+list+" FROM "+name+" WHERE n > 40", context, all(func(r shownRow) bool {
				n, err := strconv.Atoi(strings.Trim(r.values["n"], `"`))
				return err == nil && n > 40
			}))
		},
		func(context map[string]any) {
			ask("SELECT page, SUM(n) FROM "+name+" GROUP BY page", context, sumsByPage)
		},
	}
	for _, context := range []map[string]any{nil, {"cut": "committed"}} {
		ask("SELECT COUNT(*) FROM "+name, context, func(rows []shownRow) []string { return []string{fmt.Sprint(len(rows))} })
		for range 2 {
			queries[r.IntN(len(queries))](context)
		}
	}
}
