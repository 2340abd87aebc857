package peer

import (
	"slices"

	"drumlin/segment"
)

// shape is which rows, and how much of each, somebody wants or holds.
type shape struct {
	columns []string // ascending; nil: all
	rejects bool
	// Rows of event time in [fromMillis, toMillis); both 0: all.
	fromMillis, toMillis int64
}

func shapeOf(r segment.HotRequest) shape {
	s := shape{rejects: r.WithRejects, fromMillis: r.FromMillis, toMillis: r.ToMillis}
	if r.Columns != nil {
		s.columns = slices.Compact(slices.Sorted(slices.Values(r.Columns)))
		if s.columns == nil { // none is not all
			s.columns = []string{}
		}
	}
	return s
}

// on is the request for all of the shape.
func (s shape) on(r segment.HotRequest) segment.HotRequest {
	r.Columns, r.WithRejects, r.FromMillis, r.ToMillis = s.columns, s.rejects, s.fromMillis, s.toMillis
	return r
}

func (s shape) allTimes() bool { return s.fromMillis == 0 && s.toMillis == 0 }

// empty: no row is wanted, only how far the owner has read.
func (s shape) empty() bool { return !s.rejects && !s.allTimes() && s.toMillis <= s.fromMillis }

// covers says whether whoever has s has all of o.
func (s shape) covers(o shape) bool {
	if o.rejects && !s.rejects {
		return false
	}
	if !s.allTimes() && (o.allTimes() || o.toMillis > o.fromMillis && (o.fromMillis < s.fromMillis || o.toMillis > s.toMillis)) {
		return false
	}
	if s.columns == nil || o.columns == nil {
		return s.columns == nil
	}
	return !slices.ContainsFunc(o.columns, func(name string) bool {
		_, found := slices.BinarySearch(s.columns, name)
		return !found
	})
}

// with is the least shape that covers both. Of two stretches of time it has what lies between, too.
func (s shape) with(o shape) shape {
	out := shape{rejects: s.rejects || o.rejects}
	switch {
	case s.allTimes() || o.allTimes():
	case s.toMillis <= s.fromMillis:
		out.fromMillis, out.toMillis = o.fromMillis, o.toMillis
	case o.toMillis <= o.fromMillis:
		out.fromMillis, out.toMillis = s.fromMillis, s.toMillis
	default:
		out.fromMillis, out.toMillis = min(s.fromMillis, o.fromMillis), max(s.toMillis, o.toMillis)
	}
	if s.columns != nil && o.columns != nil {
		out.columns = slices.Concat([]string{}, s.columns, o.columns)
		slices.Sort(out.columns)
		out.columns = slices.Compact(out.columns)
	}
	return out
}
