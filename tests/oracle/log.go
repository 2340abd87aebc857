package oracle

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Log is a ledger for many records and many answers: it keeps of each record only what questions look at, knows which
// offsets hold no record, and is walked from cut to cut instead of being counted anew for each. It is not changed while walks
// are under way.
type Log struct {
	rules      Rules
	fields     map[string]int // what is kept of a record → its place in entry.values
	partitions map[string]map[int32]*stretch
	texts      map[string]string // one copy of each text
}

// stretch is what is known of a partition: every record below the end.
type stretch struct {
	entries []entry // by offset
	end     int64
}

type entry struct {
	offset   int64
	millis   int64 // event time
	key      string
	hasKey   bool
	rejected bool
	values   []string
}

// Event is one row, as tallies see it.
type Event struct {
	log *Log
	*entry
}

// Time is the event time.
func (e Event) Time() time.Time { return time.UnixMilli(e.millis).UTC() }

// Minute is the event time in whole minutes, as answers write it.
func (e Event) Minute() string {
	return e.Time().Truncate(time.Minute).Format("2006-01-02T15:04:05.000Z")
}

// Text is the text of a field that the log keeps; "null" where the record has none.
func (e Event) Text(field string) string {
	place, ok := e.log.fields[field]
	if !ok {
		panic("the log does not keep the field " + field)
	}
	return e.values[place]
}

// Int is the integer in a field that the log keeps; 0 for anything else.
func (e Event) Int(field string) int64 {
	n, err := strconv.ParseInt(e.Text(field), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// NewLog returns an empty log that keeps the named fields of each record.
func NewLog(rules Rules, fields ...string) *Log {
	l := &Log{rules: rules, fields: map[string]int{}, partitions: map[string]map[int32]*stretch{}, texts: map[string]string{}}
	for i, field := range fields {
		l.fields[field] = i
	}
	return l
}

func (l *Log) stretch(topic string, partition int32) *stretch {
	if l.partitions[topic] == nil {
		l.partitions[topic] = map[int32]*stretch{}
	}
	s := l.partitions[topic][partition]
	if s == nil {
		s = &stretch{}
		l.partitions[topic][partition] = s
	}
	return s
}

// Add appends a record of the log. Records of a partition come by offset.
func (l *Log) Add(r Record) error {
	s := l.stretch(r.Topic, r.Partition)
	if r.Offset < s.end {
		return fmt.Errorf("%s/%d: offset %d comes after offset %d", r.Topic, r.Partition, r.Offset, s.end-1)
	}
	fields, when, ok := parse(r.Value, l.rules)
	e := entry{offset: r.Offset, millis: when.UnixMilli()}
	e.rejected = !ok || when.Before(time.UnixMilli(0)) || when.After(r.Timestamp.Add(24*time.Hour))
	if !e.rejected {
		e.key, e.hasKey = keyOf(fields, l.rules)
		e.values = make([]string, len(l.fields))
		for field, place := range l.fields {
			e.values[place] = l.once(Text(fields[field]))
		}
	}
	s.entries = append(s.entries, e)
	s.end = r.Offset + 1
	return nil
}

func (l *Log) once(text string) string {
	if kept, ok := l.texts[text]; ok {
		return kept
	}
	text = strings.Clone(text)
	l.texts[text] = text
	return text
}

// Known says that the log holds every record of the partition below the end: offsets that were not added have none.
func (l *Log) Known(topic string, partition int32, end int64) {
	s := l.stretch(topic, partition)
	s.end = max(s.end, end)
}

// Len is the number of records.
func (l *Log) Len() int {
	n := 0
	for _, partitions := range l.partitions {
		for _, s := range partitions {
			n += len(s.entries)
		}
	}
	return n
}

// Ends is the cut behind everything that is known.
func (l *Log) Ends() Cut {
	cut := Cut{}
	for topic, partitions := range l.partitions {
		cut[topic] = map[int32]int64{}
		for partition, s := range partitions {
			cut[topic][partition] = s.end
		}
	}
	return cut
}

// Tally counts rows towards the answer of one question.
type Tally interface {
	Add(e Event)
	Remove(e Event) // one that was added: its identity has a copy at a lower position
	Lines() []string
}

// Walk is the state of tallies at one cut, which only moves forward.
type Walk struct {
	Duplicates, Rejected int64

	log     *Log
	at      Cut
	winners map[identity]position
	tallies []Tally
}

type identity struct {
	chunk int64
	key   string
}

type position struct {
	topic     string
	partition int32
	entry     *entry
}

func (p position) below(o position) bool {
	if p.topic != o.topic {
		return p.topic < o.topic
	}
	if p.partition != o.partition {
		return p.partition < o.partition
	}
	return p.entry.offset < o.entry.offset
}

// Walk begins before the first record.
func (l *Log) Walk(tallies ...Tally) *Walk {
	return &Walk{log: l, at: Cut{}, winners: map[identity]position{}, tallies: tallies}
}

// Advance moves to a cut. One that lies behind, or beyond what the log knows, is an error.
func (w *Walk) Advance(to Cut) error {
	for topic, partitions := range w.at {
		for partition, from := range partitions {
			if end, ok := to[topic][partition]; !ok || end < from {
				return fmt.Errorf("the cut went back: %s/%d from offset %d to %d", topic, partition, from, end)
			}
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(to)) {
		for _, partition := range slices.Sorted(maps.Keys(to[topic])) {
			if err := w.advance(topic, partition, to[topic][partition]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Walk) advance(topic string, partition int32, to int64) error {
	s := w.log.partitions[topic][partition]
	if s == nil {
		s = &stretch{}
	}
	if to > s.end {
		return fmt.Errorf("%s/%d: the cut %d lies beyond the log, which ends at %d", topic, partition, to, s.end)
	}
	if w.at[topic] == nil {
		w.at[topic] = map[int32]int64{}
	}
	from := w.at[topic][partition]
	first := sort.Search(len(s.entries), func(i int) bool { return s.entries[i].offset >= from })
	for i := first; i < len(s.entries) && s.entries[i].offset < to; i++ {
		w.apply(position{topic, partition, &s.entries[i]})
	}
	w.at[topic][partition] = to
	return nil
}

func (w *Walk) apply(p position) {
	switch {
	case p.entry.rejected:
		w.Rejected++
		return
	case p.entry.hasKey:
		id := identity{p.entry.millis / w.log.rules.Chunk.Milliseconds(), p.entry.key}
		old, known := w.winners[id]
		if known {
			w.Duplicates++
			if old.below(p) {
				return
			}
			for _, tally := range w.tallies {
				tally.Remove(Event{w.log, old.entry})
			}
		}
		w.winners[id] = p
	}
	for _, tally := range w.tallies {
		tally.Add(Event{w.log, p.entry})
	}
}

// Groups tallies COUNT(*) and sums of integers by group. Its lines are group, count and sums, with "|" between.
type Groups struct {
	group func(Event) string
	sums  []func(Event) int64
	state map[string][]int64
}

// GroupBy returns an empty tally. A group of several columns is their texts with "|" between.
func GroupBy(group func(Event) string, sums ...func(Event) int64) *Groups {
	return &Groups{group: group, sums: sums, state: map[string][]int64{}}
}

// Add counts a row.
func (g *Groups) Add(e Event) { g.change(e, 1) }

// Remove takes a row back.
func (g *Groups) Remove(e Event) { g.change(e, -1) }

func (g *Groups) change(e Event, sign int64) {
	name := g.group(e)
	state := g.state[name]
	if state == nil {
		state = make([]int64, 1+len(g.sums))
		g.state[name] = state
	}
	state[0] += sign
	for i, sum := range g.sums {
		state[1+i] += sign * sum(e)
	}
	if state[0] == 0 {
		delete(g.state, name)
	}
}

// Len is the number of groups.
func (g *Groups) Len() int { return len(g.state) }

// Lines are the groups, sorted.
func (g *Groups) Lines() []string {
	lines := make([]string, 0, len(g.state))
	for name, state := range g.state {
		line := name
		for _, n := range state {
			line += "|" + strconv.FormatInt(n, 10)
		}
		lines = append(lines, line)
	}
	sort.Strings(lines)
	return lines
}

// GroupCount tallies how many groups there are: the rows of a rolled-up table.
type GroupCount struct{ *Groups }

// Lines is the one number.
func (g GroupCount) Lines() []string { return []string{strconv.Itoa(g.Len())} }

// Lines puts the rows of an answer into the form of a tally's lines.
func Lines(rows []map[string]any, columns ...string) []string {
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		texts := make([]string, len(columns))
		for i, column := range columns {
			texts[i] = Text(normal(row[column]))
		}
		lines = append(lines, strings.Join(texts, "|"))
	}
	sort.Strings(lines)
	return lines
}

// normal makes numbers that were decoded as float64 whole again.
func normal(v any) any {
	if f, ok := v.(float64); ok {
		return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
	}
	return v
}
