package compaction

import (
	"fmt"
	"slices"

	"drumlin/spec"
)

// RetentionFloor is the floor that the rules ask for: the end of the longest run of chunks, from the oldest on, that the rules
// drop one and all. For each chunk the first rule that matches it decides, and without one it is kept. The floor is 0 where
// the oldest chunk is kept. It never reaches past the start of the chunk that holds now: what is still being ingested is not
// refused by a rule about age. It is a pure function.
//
// A floor has no holes. Chunks that rules drop behind a chunk that they keep stay, until everything before them goes too
// (RetentionWarnings says so); markUnused takes single chunks away.
func RetentionFloor(rules []spec.Rule, g spec.Granularity, nowMillis, oldestMillis int64) int64 {
	limit, _ := g.Chunk(nowMillis)
	bounds := ruleBounds(rules, nowMillis)
	at, _ := g.Chunk(oldestMillis)
	floor := int64(0)
	for at < limit {
		start, end := g.Chunk(at)
		if !drops(rules, spec.Interval{StartMillis: start, EndMillis: end}, nowMillis) {
			return floor
		}
		floor, at = end, end
		// Between two bounds all chunks fare alike: on to the one that holds the next bound.
		next := limit
		if i := slices.IndexFunc(bounds, func(b int64) bool { return b > end }); i >= 0 {
			next = min(next, bounds[i])
		}
		same, last := g.Chunk(end)
		if next <= last || !drops(rules, spec.Interval{StartMillis: same, EndMillis: last}, nowMillis) {
			continue // the next chunk holds a bound, or is kept: it decides for itself
		}
		if at, _ = g.Chunk(next); at > floor {
			floor = at
		}
	}
	return floor
}

// ruleBounds are the instants at which a rule's verdict on chunks may change, ascending.
func ruleBounds(rules []spec.Rule, nowMillis int64) []int64 {
	bounds := []int64{nowMillis}
	for _, r := range rules {
		switch r.Type {
		case spec.RuleLoadByPeriod, spec.RuleDropByPeriod, spec.RuleDropBeforeByPeriod:
			bounds = append(bounds, r.Period.Before(nowMillis))
		case spec.RuleLoadByInterval, spec.RuleDropByInterval:
			bounds = append(bounds, r.Interval.StartMillis, r.Interval.EndMillis)
		}
	}
	slices.Sort(bounds)
	return bounds
}

// drops says what the first rule that matches the chunk makes of it. Each rule matches as Druid's does.
func drops(rules []spec.Rule, chunk spec.Interval, nowMillis int64) bool {
	for _, r := range rules {
		matches, drop := ruleMatches(&r, chunk, nowMillis)
		if matches {
			return drop
		}
	}
	return false
}

func ruleMatches(r *spec.Rule, chunk spec.Interval, nowMillis int64) (matches, drop bool) {
	var from int64
	switch r.Type {
	case spec.RuleLoadByPeriod, spec.RuleDropByPeriod, spec.RuleDropBeforeByPeriod:
		from = r.Period.Before(nowMillis)
	}
	switch r.Type {
	case spec.RuleLoadForever:
		return true, false
	case spec.RuleDropForever:
		return true, true
	case spec.RuleLoadByPeriod: // any part of it
		return from < chunk.EndMillis && (r.IncludeFuture || chunk.StartMillis < nowMillis), false
	case spec.RuleDropByPeriod: // the whole of it
		return from <= chunk.StartMillis && (r.IncludeFuture || chunk.EndMillis <= nowMillis), true
	case spec.RuleDropBeforeByPeriod:
		return chunk.EndMillis <= from, true
	case spec.RuleLoadByInterval:
		return r.Interval.StartMillis < chunk.EndMillis && chunk.StartMillis < r.Interval.EndMillis, false
	case spec.RuleDropByInterval:
		return r.Interval.StartMillis <= chunk.StartMillis && chunk.EndMillis <= r.Interval.EndMillis, true
	}
	return false, false
}

// RetentionWarnings tells which rules cannot do all that they say, for the answer to whoever submits them.
func RetentionWarnings(rules []spec.Rule) []string {
	var out []string
	for i, r := range rules {
		switch r.Type {
		case spec.RuleDropByInterval, spec.RuleDropByPeriod:
			out = append(out, fmt.Sprintf("rules[%d]: %s drops chunks only once everything before them is dropped too: retention is a "+
				"floor without holes; to take single chunks away, mark them unused", i, r.Type))
		case spec.RuleLoadForever, spec.RuleDropForever:
			if i < len(rules)-1 {
				out = append(out, fmt.Sprintf("rules[%d]: %s matches every chunk: the rules after it are never asked", i, r.Type))
			}
		}
	}
	return out
}
