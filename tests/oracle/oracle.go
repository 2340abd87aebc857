package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"time"
	"unicode/utf8"
)

// Record is one acknowledged record.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time // Kafka's
	Value     []byte
}

// Rules say how records become rows.
type Rules struct {
	TimeField string        // RFC 3339 text or Unix milliseconds
	KeyField  string        // empty: no dedup
	Chunk     time.Duration // of fixed length, counted from 1970
}

// Cut is, per topic and partition, the first offset that an answer does not see.
type Cut map[string]map[int32]int64

// Row is one row of an answer.
type Row struct {
	Record
	Time   time.Time
	Fields map[string]any // numbers are json.Number
}

// Result is what is below a cut.
type Result struct {
	Rows       []Row // by position
	Duplicates int64
	Rejected   []Record
}

// Ledger holds acknowledged records by position.
type Ledger struct {
	records map[string]map[int32]map[int64]Record
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{records: map[string]map[int32]map[int64]Record{}} }

// Add puts a record in. A second record at a position must be the same one.
func (l *Ledger) Add(r Record) error {
	if l.records[r.Topic] == nil {
		l.records[r.Topic] = map[int32]map[int64]Record{}
	}
	if l.records[r.Topic][r.Partition] == nil {
		l.records[r.Topic][r.Partition] = map[int64]Record{}
	}
	if old, ok := l.records[r.Topic][r.Partition][r.Offset]; ok && !bytes.Equal(old.Value, r.Value) {
		return fmt.Errorf("%s/%d offset %d: two different records: %.80q and %.80q", r.Topic, r.Partition, r.Offset, old.Value, r.Value)
	}
	l.records[r.Topic][r.Partition][r.Offset] = r
	return nil
}

// Len is the number of records.
func (l *Ledger) Len() int {
	n := 0
	for _, partitions := range l.records {
		for _, records := range partitions {
			n += len(records)
		}
	}
	return n
}

// Ends is the cut behind every record of the ledger.
func (l *Ledger) Ends() Cut {
	cut := Cut{}
	for topic, partitions := range l.records {
		cut[topic] = map[int32]int64{}
		for partition, records := range partitions {
			for offset := range records {
				cut[topic][partition] = max(cut[topic][partition], offset+1)
			}
		}
	}
	return cut
}

// below lists the records below the cut by position. Every offset below it must be in the ledger.
func (l *Ledger) below(cut Cut) ([]Record, error) {
	var out []Record
	for topic, partitions := range cut {
		for partition, end := range partitions {
			for offset := range end {
				r, ok := l.records[topic][partition][offset]
				if !ok {
					return nil, fmt.Errorf("%s/%d offset %d is below the cut %d, but the ledger does not know it", topic, partition, offset, end)
				}
				out = append(out, r)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Topic != b.Topic {
			return a.Topic < b.Topic
		}
		if a.Partition != b.Partition {
			return a.Partition < b.Partition
		}
		return a.Offset < b.Offset
	})
	return out, nil
}

// At computes what an answer at the cut must show.
func (l *Ledger) At(cut Cut, rules Rules) (*Result, error) {
	records, err := l.below(cut)
	if err != nil {
		return nil, err
	}
	seen := map[identity]bool{}
	result := &Result{}
	for _, r := range records {
		fields, when, ok := parse(r.Value, rules)
		if !ok || when.Before(time.UnixMilli(0)) || when.After(r.Timestamp.Add(24*time.Hour)) {
			result.Rejected = append(result.Rejected, r)
			continue
		}
		if key, ok := keyOf(fields, rules); ok {
			id := identity{when.UnixMilli() / rules.Chunk.Milliseconds(), key}
			if seen[id] {
				result.Duplicates++
				continue
			}
			seen[id] = true
		}
		result.Rows = append(result.Rows, Row{Record: r, Time: when, Fields: fields})
	}
	return result, nil
}

func parse(value []byte, rules Rules) (map[string]any, time.Time, bool) {
	if !utf8.Valid(value) {
		return nil, time.Time{}, false
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil || fields == nil || decoder.More() {
		return nil, time.Time{}, false
	}
	switch t := fields[rules.TimeField].(type) {
	case string:
		when, err := time.Parse(time.RFC3339Nano, t)
		return fields, when.Truncate(time.Millisecond).UTC(), err == nil
	case json.Number:
		millis, err := t.Int64()
		return fields, time.UnixMilli(millis).UTC(), err == nil
	default:
		return nil, time.Time{}, false
	}
}

func keyOf(fields map[string]any, rules Rules) (string, bool) {
	if rules.KeyField == "" {
		return "", false
	}
	switch k := fields[rules.KeyField].(type) {
	case string:
		return k, k != ""
	case json.Number:
		return k.String(), true
	default:
		return "", false
	}
}

// GroupCount counts rows by the text of a field; a missing field or null counts under "null".
func (r *Result) GroupCount(field string) map[string]int64 {
	out := map[string]int64{}
	for _, row := range r.Rows {
		out[Text(row.Fields[field])]++
	}
	return out
}

// Sum adds up an integer field; what is no integer counts as 0.
func (r *Result) Sum(field string) int64 {
	var sum int64
	for _, row := range r.Rows {
		if n, ok := row.Fields[field].(json.Number); ok {
			if v, err := n.Int64(); err == nil {
				sum += v
			}
		}
	}
	return sum
}

// Text is the text of a JSON scalar, "null" for null.
func Text(v any) string {
	switch t := v.(type) {
	case nil:
		return "null"
	case string:
		return t
	case json.Number:
		return t.String()
	default:
		return fmt.Sprint(t)
	}
}

// Holds says whether the ledger has this very record at its position.
func (l *Ledger) Holds(r Record) bool {
	got, ok := l.records[r.Topic][r.Partition][r.Offset]
	return ok && bytes.Equal(got.Value, r.Value)
}

// Extends says whether the ledger holds every record of the other one.
func (l *Ledger) Extends(o *Ledger) bool {
	for _, partitions := range o.records {
		for _, records := range partitions {
			for _, r := range records {
				if !l.Holds(r) {
					return false
				}
			}
		}
	}
	return true
}
