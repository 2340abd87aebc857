package model

type outcome int

const (
	stored outcome = iota
	rejected
	skipped
)

// judge says what becomes of a record: a function of the record, of the clock before it, and of recorded facts.
func (s *sim) judge(r record, clock int, f facts) (outcome, row) {
	b := bucketOf(r.time)
	out := row{key: r.key, bucket: b, time: r.time, dims: r.dims, val: r.val}
	switch r.kind {
	case controlRecord:
		return skipped, out
	case badRecord:
		return rejected, out
	}
	if endOf(b) <= f.retention {
		return rejected, out
	}
	beyond := endOf(b) <= f.dedup || s.cfg.horizonTicks > 0 && endOf(b)+s.cfg.horizonTicks < clock
	if beyond && !s.cfg.accept {
		return rejected, out
	}
	if r.tag == f.spec%4 {
		return skipped, out
	}
	if beyond && s.on(AcceptAsKeyless) {
		out.key = 0
	}
	return stored, out
}

// placed is the position as the run's rules see it.
func (s *sim) placed(p pos) pos {
	if !s.on(GenerationInPosition) {
		p.gen = 0
	}
	return p
}

func (s *sim) identity(r row) ident {
	switch {
	case r.key == 0:
		return ident{pos: s.placed(r.pos), bucket: -1}
	case !s.on(BucketInIdentity):
		return ident{key: r.key, bucket: -1}
	}
	return ident{bucket: r.bucket, key: r.key}
}

// wins says whether a defeats b, of two copies of one identity.
func (s *sim) wins(a, b row) bool {
	c := s.placed(a.pos).compare(s.placed(b.pos))
	if !s.on(LowestWins) {
		return c > 0
	}
	return c < 0
}

// dedup keeps the winner of every identity, in the order of first appearance. A row without a key is never compared.
func (s *sim) dedup(rows []row) []row {
	at := map[ident]int{}
	var out []row
	for _, r := range rows {
		id := s.identity(r)
		i, seen := at[id]
		switch {
		case r.key == 0:
			out = append(out, r)
		case !seen:
			at[id] = len(out)
			out = append(out, r)
		case s.wins(r, out[i]):
			out[i] = r
		}
	}
	return out
}

// plan is a numbered plan of a rollup datasource. A filter removes the rows whose dimension has the value.
type plan struct {
	gran    int
	keep    [2]bool
	filters [2][]int // by dimension: the values that go
}

func (p *plan) pass(dims [2]int) bool {
	for d, values := range p.filters {
		for _, v := range values {
			if dims[d] == v {
				return false
			}
		}
	}
	return true
}

func (p *plan) key(time int, dims [2]int) groupKey {
	k := groupKey{time: time - time%p.gran}
	for d, keep := range p.keep {
		if k.dims[d] = -1; keep {
			k.dims[d] = dims[d]
		}
	}
	return k
}

// aggregate applies the plan to rows of distinct identities.
func (p *plan) aggregate(into map[groupKey]agg, rows []row) {
	for _, r := range rows {
		if p.pass(r.dims) {
			add(into, p.key(r.time, r.dims), agg{count: 1, sum: r.val})
		}
	}
}

func add(into map[groupKey]agg, k groupKey, a agg) {
	b := into[k]
	into[k] = agg{count: a.count + b.count, sum: a.sum + b.sum}
}
