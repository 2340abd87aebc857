package query

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/internal/testkit"
	"drumlin/segment"
	"drumlin/spec"
)

// oracle computes, in plain Go, which rows of the logs below a cut count: one per identity, the one with the lowest
// position.
func oracle(t *worldTable, c Cut) []worldRow {
	ends := map[int32]int64{}
	for _, p := range c.Datasources[t.datasource.Name][t.datasource.Name] {
		ends[p.Partition] = p.Offset
	}
	type identity struct {
		bucket int64
		key    string
	}
	seen := map[identity]bool{}
	var out []worldRow
	for _, p := range t.partitions {
		for _, r := range p.rows {
			bucket := segment.Bucket{StartMillis: r.millis - r.millis%hour, EndMillis: r.millis - r.millis%hour + hour}
			if b := t.buckets[bucket]; r.reject != "" || r.offset >= ends[p.key.Partition] || b != nil && b.Dropped() {
				continue
			}
			id := identity{bucket.StartMillis, r.key}
			if t.schema.Dedup && r.key != "" {
				if seen[id] {
					continue
				}
				seen[id] = true
			}
			out = append(out, r)
		}
	}
	return out
}

func seeds(t *testing.T, n int) []uint64 {
	if s, err := strconv.ParseUint(os.Getenv("DRUMLIN_SEED"), 10, 64); err == nil {
		return []uint64{s}
	}
	base := uint64(time.Now().UnixNano())
	out := make([]uint64, testkit.Rounds(n, 1))
	for i := range out {
		out[i] = base + uint64(i)
	}
	t.Logf("seeds from %d on; DRUMLIN_SEED repeats one", base)
	return out
}

// TestAnswersEqualTheOracle writes random logs with many copies, commits, compacts and drops at random, and compares
// answers of several shapes with the oracle at the cut that each answer reports. Owners give all they have, or at every
// other step no more than they are asked for; sometimes one is away, and the answer may be partial.
func TestAnswersEqualTheOracle(t *testing.T) {
	w := newWorld(t)
	engines := []*Engine{w.engine(), w.engine(func(o *Options) { o.Hot = strict{w} })}
	for i, seed := range seeds(t, 2) {
		name := fmt.Sprintf("events%d", i)
		r := rand.New(rand.NewPCG(seed, 1))
		tab := w.table(name, r.IntN(4) > 0, 1+r.IntN(3), column("page", segment.TypeString), column("n", segment.TypeLong))
		for step := range 6 {
			for _, p := range tab.partitions {
				for range r.IntN(12) {
					p.add(randomRow(r))
				}
				if r.IntN(2) == 0 {
					w.commit(tab, p, p.committed+r.Int64N(p.next-p.committed+1))
				}
			}
			if r.IntN(3) == 0 {
				settleOne(w, tab, r)
			}
			contexts := []map[string]any{nil, {"cut": "committed"}}
			if away := r.Int32N(4); step%3 == 2 && int(away) < len(tab.partitions) {
				w.without(away, &segment.HotUnavailable{Status: segment.HotNotOwner, Detail: "away"})
				contexts[0] = map[string]any{"allowPartial": true, "hotTimeout": 0}
			}
			checkAnswers(t, engines[step%2], tab, fmt.Sprintf("seed %d step %d", seed, step), contexts)
			w.refuse = nil
		}
		delete(w.tables, name)
	}
}

func randomRow(r *rand.Rand) worldRow {
	row := worldRow{millis: t0 + r.Int64N(3)*hour + r.Int64N(hour), values: []any{fmt.Sprintf("page%d", r.IntN(3)), r.Int64N(1000)}}
	switch r.IntN(10) {
	case 0:
	case 1:
		row.reject = "unparseable"
	default:
		row.key = fmt.Sprintf("key%d", r.IntN(15))
	}
	if r.IntN(8) == 0 {
		row.values[0] = nil
	}
	return row
}

// settleOne does to one bucket what a compaction does: a bucket of one unit becomes settled; rarely one is dropped.
func settleOne(w *world, t *worldTable, r *rand.Rand) {
	for _, b := range t.buckets {
		units := map[string]bool{}
		for _, s := range b.Tail {
			units[s.Unit] = true
		}
		switch {
		case r.IntN(6) == 0:
			b.Head, b.Tail, b.Settled, b.Rejects = &catalog.Head{State: catalog.HeadDropped}, nil, nil, nil
		case len(units) == 1 && len(b.Settled) == 0 && !b.Dropped():
			b.Head, b.Manifest = &catalog.Head{State: catalog.HeadRaw, Absorbed: w.revision}, &catalog.Manifest{}
			for _, s := range b.Tail {
				b.Settled = append(b.Settled, s.Meta)
			}
			b.Tail = nil
		default:
			continue
		}
		w.revision++
		return
	}
}

func checkAnswers(t *testing.T, e *Engine, tab *worldTable, place string, contexts []map[string]any) {
	t.Helper()
	name := tab.datasource.Name
	check := func(sql string, context map[string]any, want func([]worldRow) []string) {
		t.Helper()
		lines, a, err := ask(e, Request{SQL: sql, Context: context})
		if err != nil {
			t.Fatalf("%s: %s: %v", place, sql, err)
		}
		expected := want(oracle(tab, a.Cut))
		sort.Strings(lines)
		sort.Strings(expected)
		if fmt.Sprint(lines) != fmt.Sprint(expected) {
			t.Fatalf("%s: %s:\ngot  %v\nwant %v\ncut %+v", place, sql, lines, expected, a.Cut)
		}
	}
	for _, context := range contexts {
		check("SELECT COUNT(*) FROM "+name, context, func(rows []worldRow) []string { return []string{fmt.Sprint(len(rows))} })
		check("SELECT __time, page, n FROM "+name, context, func(rows []worldRow) []string { return shown(rows, nil) })
		middle := t0 + hour + hour/2
		check(fmt.Sprintf("SELECT __time, page, n FROM %s WHERE __time >= MILLIS_TO_TIMESTAMP(%d) AND n < 500", name, middle), context,
			func(rows []worldRow) []string {
				return shown(rows, func(r worldRow) bool { return r.millis >= middle && r.values[1].(int64) < 500 })
			})
		check("SELECT __time, page, n FROM "+name+" WHERE page = 'page1' AND __time < TIMESTAMP '"+
			time.UnixMilli(middle).UTC().Format("2006-01-02 15:04:05")+"'", context, func(rows []worldRow) []string {
			return shown(rows, func(r worldRow) bool { return r.millis < middle && r.values[0] == "page1" })
		})
		check("SELECT a.n FROM "+name+" a JOIN "+name+" b ON a.__time = b.__time AND a.n = b.n WHERE b.page = 'page2' AND a.n > 300", context,
			func(rows []worldRow) []string {
				var out []string
				for _, a := range rows {
					for _, b := range rows {
						if a.millis == b.millis && a.values[1] == b.values[1] && b.values[0] == "page2" && a.values[1].(int64) > 300 {
							out = append(out, fmt.Sprint(a.values[1]))
						}
					}
				}
				return out
			})
	}
}

func shown(rows []worldRow, keep func(worldRow) bool) []string {
	var out []string
	for _, r := range rows {
		if keep != nil && !keep(r) {
			continue
		}
		page := "null"
		if p, ok := r.values[0].(string); ok {
			page = strconv.Quote(p)
		}
		out = append(out, fmt.Sprintf("%q %s %d", spec.FormatInstant(r.millis), page, r.values[1]))
	}
	return out
}
