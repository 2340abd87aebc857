package model

import (
	"cmp"
	"fmt"
	"slices"
)

// The oracle answers from the Kafka log and from its own ledger of recorded facts. It knows nothing of segments,
// manifests or owners, and has its own judgement of records.

type oracleOffset struct {
	stamp int
	off   offset
}

// oracleHead is a bucket's plan, whether it is dropped, and which position each identity got when it was folded.
type oracleHead struct {
	stamp, plan int
	manifest    string
	dropped     bool
	folded      map[ident]pos
}

type shownKey struct{ part, gen, off int }

type oracle struct {
	cfg   *config
	kafka *kafka
	plans *[]plan
	offs  map[int][]oracleOffset
	heads map[int][]oracleHead
	shown map[shownKey]facts
	moved string // a broken promise about facts
}

func newOracle(s *sim) *oracle {
	return &oracle{
		cfg: &s.cfg, kafka: s.kafka, plans: &s.plans, offs: map[int][]oracleOffset{}, heads: map[int][]oracleHead{},
		shown: map[shownKey]facts{},
	}
}

func (o *oracle) noteOffset(stamp, part int, off offset) {
	o.offs[part] = append(o.offs[part], oracleOffset{stamp: stamp, off: off})
}

// noteShown records that hot rows have been answered by the partition's owner, judged by these facts.
func (o *oracle) noteShown(part, gen, from, to int, f facts) {
	for off := from; off < to; off++ {
		k := shownKey{part, gen, off}
		if was, ok := o.shown[k]; ok && was != f && o.moved == "" {
			o.moved = fmt.Sprintf("p%d gen %d @%d was answered under %+v and is now under %+v", part, gen, off, was, f)
		}
		o.shown[k] = f
	}
}

// until gives the partition's history up to the stamp.
func (o *oracle) until(part, stamp int) []oracleOffset {
	h := o.offs[part]
	i, _ := slices.BinarySearchFunc(h, stamp+1, func(e oracleOffset, t int) int { return cmp.Compare(e.stamp, t) })
	return h[:i]
}

// rows are the stored rows of all partitions below the cut.
func (o *oracle) rows(c cut) []row {
	var out []row
	for _, part := range sortedKeys(c.offs) {
		history := o.until(part, c.stamp)
		for len(history) > 0 {
			gen := history[0].off.gen
			n := slices.IndexFunc(history, func(e oracleOffset) bool { return e.off.gen != gen })
			if n < 0 {
				n = len(history)
			}
			to := history[n-1].off.next
			if gen == c.offs[part].gen {
				to = c.offs[part].next
			}
			out = append(out, o.generation(part, history[:n], to)...)
			history = history[n:]
		}
	}
	return out
}

// generation judges the records of one generation, from its first offset up to to.
func (o *oracle) generation(part int, history []oracleOffset, to int) []row {
	var out []row
	log := o.kafka.logs[history[0].off.log].records
	clock, at := 0, 0
	for off := history[0].off.next; off < to && off < len(log); off++ {
		for at+1 < len(history) && history[at+1].off.next <= off {
			at++
		}
		r := log[off]
		if row, ok := o.judge(r, clock, history[at].off.facts); ok {
			row.pos = pos{gen: history[0].off.gen, part: part, off: off}
			out = append(out, row)
		}
		clock = max(clock, r.ts)
	}
	return out
}

func (o *oracle) judge(r record, clock int, f facts) (row, bool) {
	b := r.time / bucketLen
	end := b*bucketLen + bucketLen
	unchecked := end <= f.dedup || o.cfg.horizonTicks > 0 && clock > end+o.cfg.horizonTicks
	if r.kind != dataRecord || end <= f.retention || r.tag == f.spec%4 || unchecked && !o.cfg.accept {
		return row{}, false
	}
	out := row{key: r.key, bucket: b, time: r.time, dims: r.dims, val: r.val}
	if unchecked {
		out.key = 0
	}
	return out, true
}

func identOf(r row) ident {
	if r.key == 0 {
		return ident{bucket: -1, pos: r.pos}
	}
	return ident{bucket: r.bucket, key: r.key}
}

// head is the state of a bucket at the stamp, and what has been folded in it.
func (o *oracle) head(b, stamp int) (h oracleHead, folded map[ident]pos) {
	h.plan = 1
	folded = map[ident]pos{}
	for _, e := range o.heads[b] {
		if e.stamp > stamp {
			break
		}
		h = e
		for id, p := range e.folded {
			folded[id] = p
		}
	}
	return h, folded
}

// winners gives one row for each identity of the buckets that are not dropped: the folded one, or that of the lowest
// position.
func (o *oracle) winners(c cut) []row {
	type bucketState struct {
		dropped bool
		folded  map[ident]pos
	}
	state := make([]bucketState, o.cfg.buckets)
	for b := range state {
		h, folded := o.head(b, c.stamp)
		state[b] = bucketState{dropped: h.dropped, folded: folded}
	}
	best := map[ident]row{}
	var order []ident
	for _, r := range o.rows(c) {
		if state[r.bucket].dropped {
			continue
		}
		id := identOf(r)
		was, seen := best[id]
		p, isFolded := state[r.bucket].folded[id]
		switch {
		case !seen:
			order = append(order, id)
			best[id] = r
		case isFolded && p == r.pos, !(isFolded && p == was.pos) && r.pos.compare(was.pos) < 0:
			best[id] = r
		}
	}
	out := make([]row, 0, len(order))
	for _, id := range order {
		out = append(out, best[id])
	}
	return out
}

func (o *oracle) answer(c cut) answer {
	out := answer{}
	for _, r := range o.winners(c) {
		k, a := groupKey{pos: r.pos, time: r.time, dims: r.dims}, agg{1, r.val}
		if o.cfg.rollup {
			h, _ := o.head(r.bucket, c.stamp)
			p := (*o.plans)[h.plan]
			if slices.Contains(p.filters[0], r.dims[0]) || slices.Contains(p.filters[1], r.dims[1]) {
				continue
			}
			k = groupKey{time: r.time / p.gran * p.gran, dims: [2]int{-1, -1}}
			for d := range r.dims {
				if p.keep[d] {
					k.dims[d] = r.dims[d]
				}
			}
		}
		was := out[k]
		out[k] = agg{was.count + a.count, was.sum + a.sum}
	}
	return out
}

// noteSwap records a swap. A fold whose inputs were read at the cut fixes the position of every identity in it.
func (o *oracle) noteSwap(at int, buckets []int, m *manifest, folds bool, inputs cut) {
	fixed := map[int]map[ident]pos{}
	if folds {
		for _, r := range o.winners(inputs) {
			if fixed[r.bucket] == nil {
				fixed[r.bucket] = map[ident]pos{}
			}
			fixed[r.bucket][identOf(r)] = r.pos
		}
	}
	for _, b := range buckets {
		o.heads[b] = append(o.heads[b], oracleHead{
			stamp: at, manifest: m.name, plan: m.plan, dropped: m.state == droppedHead, folded: fixed[b],
		})
	}
}

// difference describes the first difference between two answers; "": none.
func difference(got, want answer) string {
	for _, keys := range []answer{want, got} {
		for _, k := range sortedGroups(keys) {
			if got[k] != want[k] {
				return fmt.Sprintf("%+v is %+v, the oracle says %+v", k, got[k], want[k])
			}
		}
	}
	return ""
}

func sortedGroups(a answer) []groupKey {
	out := make([]groupKey, 0, len(a))
	for k := range a {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b groupKey) int {
		return cmp.Or(a.pos.compare(b.pos), cmp.Compare(a.time, b.time), cmp.Compare(a.dims[0], b.dims[0]),
			cmp.Compare(a.dims[1], b.dims[1]))
	})
	return out
}
