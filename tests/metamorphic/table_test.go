package metamorphic

import (
	"fmt"
	"math"
	"slices"

	"drumlin/query"
	"drumlin/rollup"
)

// shown is one row of the table: values by column. Numbers are int64 or float64.
type shown struct {
	millis int64
	values map[string]any
}

// expected is what a table must show at a cut.
type expected struct {
	rows    []shown
	dropped bool // some bucket has been dropped
	rejects int64
	// lateCopies are rows that came after their identity was fixed.
	lateCopies int
}

// expect computes the table at the cut: who counts, then what the plans make of them.
func (w *world) expect(t *table, cut query.Cut) (*expected, error) {
	in, err := w.ingest(t, cut)
	if err != nil {
		return nil, err
	}
	out := &expected{rejects: int64(len(in.rejects))}
	byHour := map[int64][]*row{}
	for _, r := range in.rows {
		byHour[r.hour()] = append(byHour[r.hour()], r)
	}
	type group struct {
		plan plan
		rows []*row
	}
	groups := map[string]*group{} // by manifest, else by hour
	for hour, rows := range byHour {
		events := w.kv.eventsOf(t.name, hour, cut.Revision)
		name, text := fmt.Sprint(hour), w.plans[t.name]
		if n := len(events); n > 0 {
			name = events[n-1].Manifest
			if events[n-1].Plan > 0 {
				text = events[n-1].manifest.PlanSpec
			}
			if events[n-1].State == "dropped" {
				out.dropped = true
				continue
			}
		}
		winners, late, err := t.survivors(rows, events)
		if err != nil {
			return nil, err
		}
		out.lateCopies += late
		if groups[name] == nil {
			p, err := readPlan(text)
			if err != nil {
				return nil, err
			}
			groups[name] = &group{plan: p}
		}
		groups[name].rows = append(groups[name].rows, winners...)
	}
	for _, g := range groups {
		slices.SortFunc(g.rows, comparePositions)
		rows, err := t.show(&g.plan, g.rows)
		if err != nil {
			return nil, err
		}
		out.rows = append(out.rows, rows...)
	}
	return out, nil
}

// survivors says which rows of one hour count, before the plan's filter. rows come by position.
//
// An identity's winner is its copy of the lowest position, until the bucket is folded, discarded, or the plan's filter removes
// the winner: from then on it stays what it was, of the copies committed by the revision that the head had read.
func (t *table) survivors(rows []*row, events []*headFact) (out []*row, late int, err error) {
	fixed := map[string]*row{} // nil: gone
	fixedAt := map[string]int64{}
	gone := map[*row]bool{} // rows without an identity
	for _, e := range events {
		if len(e.manifest.Adopted) > 0 {
			continue // the tail has not been compared
		}
		p, err := readPlan(e.manifest.PlanSpec)
		if err != nil {
			return nil, 0, err
		}
		if e.discard {
			for key := range fixed {
				fixed[key] = nil
			}
		}
		seen := map[string]bool{}
		for _, r := range rows {
			if r.commit > e.Absorbed {
				continue
			}
			if r.key == "" {
				gone[r] = gone[r] || e.discard
				continue
			}
			if _, done := fixed[r.key]; done || seen[r.key] {
				continue
			}
			seen[r.key], fixedAt[r.key] = true, e.Absorbed
			keeps, err := p.passes(r)
			switch {
			case err != nil:
				return nil, 0, err
			case e.discard || !t.rollup && !keeps:
				fixed[r.key] = nil
			case t.rollup:
				fixed[r.key] = r
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range rows {
		winner, done := fixed[r.key]
		if done && winner != r && r.commit > fixedAt[r.key] {
			late++
		}
		if r.key == "" && gone[r] || r.key != "" && (seen[r.key] || done && winner != r) {
			continue
		}
		seen[r.key] = true
		out = append(out, r)
	}
	return out, late, nil
}

func (p *plan) passes(r *row) (bool, error) {
	if p.Filter == nil {
		return true, nil
	}
	is, err := p.Filter.truth(r.millis, r.values)
	return is == 1, err
}

// show makes table rows of rows that count.
func (t *table) show(p *plan, rows []*row) ([]shown, error) {
	var out []shown
	groups := map[string]int{}
	var members [][]*row
	for _, r := range rows {
		if keeps, err := p.passes(r); err != nil {
			return nil, err
		} else if !keeps {
			continue
		}
		millis, err := p.truncate(r.millis)
		if err != nil {
			return nil, err
		}
		s := shown{millis, map[string]any{}}
		key := fmt.Sprint(millis)
		for _, c := range t.columns() {
			if r.values[c] != nil && p.keeps(c) {
				s.values[c] = r.values[c]
			}
			key += fmt.Sprintf(" %v", s.values[c])
		}
		if !t.rollup {
			out = append(out, s)
			continue
		}
		g, ok := groups[key]
		if !ok {
			g = len(out)
			groups[key] = g
			out, members = append(out, s), append(members, nil)
		}
		members[g] = append(members[g], r)
	}
	for g := range members {
		if err := p.aggregate(out[g].values, members[g]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// columns are the dimensions that any version of the spec has had.
func (t *table) columns() []string {
	var out []string
	for _, v := range t.versions {
		for _, d := range v.dimensions {
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// aggregate computes metrics in the plainest way. Rows come by position.
func (p *plan) aggregate(out map[string]any, rows []*row) error {
	all := map[string]any{"cnt": int64(len(rows)), "p1s": int64(0)}
	var first, last *row
	var distinct rollup.Distinct
	var quantiles rollup.Quantiles
	for _, r := range rows {
		if first == nil || r.millis < first.millis {
			first = r
		}
		if last == nil || r.millis >= last.millis {
			last = r
		}
		if r.values["page"] == "p1" {
			all["p1s"] = all["p1s"].(int64) + 1
		}
		if n, ok := r.internal["n"].(int64); ok {
			sum, _ := all["n_sum"].(int64)
			least, some := all["n_min"].(int64)
			if !some {
				least = math.MaxInt64
			}
			all["n_sum"], all["n_min"] = sum+n, min(least, n)
		}
		if f, ok := r.internal["price"].(float64); ok {
			sum, _ := all["price_sum"].(float64)
			most, some := all["price_max"].(float64)
			if !some {
				most = math.Inf(-1)
			}
			all["price_sum"], all["price_max"] = sum+f, max(most, f)
			quantiles.Add(f)
		}
		if u, ok := r.internal["user"].(string); ok {
			distinct.Add(rollup.HashString(u))
		}
	}
	all["n_first"], all["price_last"], all["user_last"] = first.internal["n"], last.internal["price"], last.internal["user"]
	if !distinct.Empty() {
		state, err := distinct.AppendState(nil)
		if err != nil {
			return err
		}
		all["users"] = string(state)
	}
	if !quantiles.Empty() {
		all["prices"] = string(quantiles.AppendState(nil))
	}
	for _, name := range p.metricNames() {
		if all[name] != nil {
			out[name] = all[name]
		}
	}
	return nil
}
