package model

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// facts are what the catalog has recorded about how records are judged.
type facts struct{ spec, retention, dedup int }

// offset is the key offset/…
type offset struct {
	gen, log, next, clock int
	facts                 facts
	record                string
	ends                  []int // where each closed generation ended
	mod                   int
}

// ownKey is the key own/…; create is the fencing epoch.
type ownKey struct{ node, create int }

type commitKey struct{ part, gen, from int }

type segRef struct {
	bucket int
	object string
}

// commit is the key commit/…
type commit struct {
	commitKey
	to      int
	uuid    string
	epoch   int
	facts   facts
	clock   int
	segs    []segRef
	rejects int // the bucket that it belongs to whatever it stored; −1: none
	record  string
	create  int
}

// buckets are all buckets that the commit belongs to, ascending.
func (c *commit) buckets() []int {
	var out []int
	if c.rejects >= 0 {
		out = append(out, c.rejects)
	}
	for _, s := range c.segs {
		out = append(out, s.bucket)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

type headState int

const (
	rawHead headState = iota
	foldedHead
	droppedHead
)

func (h headState) String() string { return [...]string{"raw", "folded", "dropped"}[h] }

// head is the key head/…
type head struct {
	manifest            string
	absorbed, plan, seq int
	state               headState
	mod                 int
}

type floors struct{ retention, dedup, mod int }

// store is etcd: one revision for every transaction.
type store struct {
	inc, rev int
	own      map[int]ownKey
	off      map[int]offset
	commits  map[commitKey]*commit
	heads    map[int]head
	floors   floors
	spec     int
	claims   map[string]int // claim key → create_revision
	pins     map[int]int    // reader → revision
}

func newStore(inc int) *store {
	return &store{
		inc: inc, rev: 1, own: map[int]ownKey{}, off: map[int]offset{}, commits: map[commitKey]*commit{},
		heads: map[int]head{}, claims: map[string]int{}, pins: map[int]int{}, spec: 1,
	}
}

// stamp orders revisions over incarnations.
func stamp(inc, rev int) int { return inc*1_000_000 + rev }

func (st *store) stamp() int { return stamp(st.inc, st.rev) }

func bucketClaim(b int) string { return fmt.Sprintf("bucket-%d", b) }

// sortedKeys gives the keys in order: a run must not depend on the order of a map.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func (st *store) sortedCommits() []*commit {
	return slices.SortedFunc(maps.Values(st.commits), func(a, b *commit) int {
		return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.gen, b.gen), cmp.Compare(a.from, b.from))
	})
}

// pos is a position: topic (there is one), generation, partition, offset.
type pos struct{ gen, part, off int }

func (p pos) compare(q pos) int {
	return cmp.Or(cmp.Compare(p.gen, q.gen), cmp.Compare(p.part, q.part), cmp.Compare(p.off, q.off))
}

// row is a stored record.
type row struct {
	pos    pos
	key    int // 0: its own identity
	bucket int
	time   int
	dims   [2]int
	val    int
}

// ident is an identity: the key within one bucket, or the position of a record without one.
type ident struct {
	bucket, key int
	pos         pos
}

// groupKey is a row of the answer: of a rollup datasource (truncated time, dimensions), of a raw one the row itself.
type groupKey struct {
	pos  pos
	time int
	dims [2]int
}

type agg struct{ count, sum int }

// object is anything in the object store. Its name carries the incarnation and the epoch that wrote it.
type object struct {
	name       string
	inc, epoch int
	rows       []row
	folded     map[groupKey]agg
	isFolded   bool
	ids        map[ident]bool // a sidecar
	dead       map[pos]bool   // a deletion vector
	manifest   *manifest
	record     *offRecord
	retired    int  // stamp of the swap that a marker says has replaced it; 0: none
	retiredAt  int  // step, for the grace period
	marked     bool // of a manifest: its marker is there
}

// put writes an object under a new, unique name. An object is never changed.
func (s *sim) put(kind string, epoch int, o object) string {
	s.serial++
	o.name = fmt.Sprintf("%s-i%d-e%d-%d", kind, s.st.inc, epoch, s.serial)
	o.inc, o.epoch = s.st.inc, epoch
	s.objects[o.name] = &o
	return o.name
}
