package fold

import (
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/rollup"
	"drumlin/segment"
)

// runRows is how many rows are grouped at a time: their keys stay in the processor's cache.
const runRows = 2048

// maxGroups keeps the numbers of groups away from rollup.Skip, and a folder's memory within reason.
const maxGroups = 1<<31 - 1

// ErrFull: the folder holds as many groups as it can number. Flush it.
var ErrFull = errors.New("fold: too many groups at a time")

// Folder takes rows, raw and folded, and holds one group for each (truncated time, dimensions). It is not safe for
// concurrent use. After an error it can only be released: part of the rows may be in it.
type Folder struct {
	plan *rollup.BucketPlan
	mem  memory.Allocator

	keys   *keyer
	groups *table
	states *rollup.States
	events []int64 // by group

	inGroups int64 // sum of events
	filtered int64
	leftOut  []int64 // of states flushed before

	run        []uint32 // groups of the rows of a run
	batchBytes int64    // maxBatchBytes
	failed     error
}

// New makes a folder for a plan with rollup. What it flushes is allocated from mem.
func New(p *rollup.BucketPlan, mem memory.Allocator) (*Folder, error) {
	if p.Metrics() == nil {
		return nil, errors.New("fold: the plan has no rollup: its rows are kept as they are")
	}
	if mem == nil {
		mem = memory.DefaultAllocator
	}
	f := &Folder{
		plan: p, mem: mem, leftOut: make([]int64, len(p.Metrics().Metrics())), run: make([]uint32, runRows),
		batchBytes: maxBatchBytes,
	}
	var err error
	if f.keys, err = newKeyer(p); err != nil {
		return nil, err
	}
	f.groups = newTable(f.keys.width)
	f.states = p.Metrics().NewStates()
	return f, nil
}

// AddRows folds raw rows: it filters, truncates, groups and aggregates. drop[i] leaves row i out, uncounted; nil: none.
func (f *Folder) AddRows(rows rollup.Rows, drop []bool) error {
	if f.failed == nil {
		f.failed = f.addRows(rows, drop)
	}
	return f.failed
}

func (f *Folder) addRows(rows rollup.Rows, drop []bool) error {
	n := int(rows.Record.NumRows())
	if drop != nil && len(drop) != n {
		return fmt.Errorf("fold: %d marks for %d rows", len(drop), n)
	}
	keep, err := f.plan.Keep(rows.Record)
	if err != nil {
		return fmt.Errorf("fold: %w", err)
	}
	if err := f.keys.open(rows.Record, false); err != nil {
		return err
	}
	defer f.keys.close()
	for from := 0; from < n; from += runRows {
		run := f.run[:min(runRows, n-from)]
		for i := range run {
			run[i] = 0
			switch {
			case drop != nil && drop[from+i]:
				run[i] = rollup.Skip
			case keep != nil && !keep[from+i]:
				run[i] = rollup.Skip
				f.filtered++
			}
		}
		if err := f.group(from, run); err != nil {
			return err
		}
		for _, g := range run {
			if g != rollup.Skip {
				f.events[g]++
				f.inGroups++
			}
		}
		if err := f.states.AddRows(rows, from, run); err != nil {
			return fmt.Errorf("fold: %w", err)
		}
	}
	return nil
}

// AddFolded folds rows that are folded already, by the same definition or a wider one. What cannot be such a row is
// segment.ErrCorrupt.
func (f *Folder) AddFolded(rec arrow.RecordBatch) error {
	if f.failed == nil {
		f.failed = f.addFolded(rec)
	}
	return f.failed
}

func (f *Folder) addFolded(rec arrow.RecordBatch) error {
	keep, err := f.plan.Keep(rec)
	if err != nil {
		return fmt.Errorf("fold: %w", err)
	}
	if err := f.keys.open(rec, true); err != nil {
		return err
	}
	defer f.keys.close()
	events, err := eventsOf(rec)
	if err != nil {
		return err
	}
	n := int(rec.NumRows())
	for from := 0; from < n; from += runRows {
		run := f.run[:min(runRows, n-from)]
		for i := range run {
			run[i] = 0
			if keep != nil && !keep[from+i] {
				run[i] = rollup.Skip
				f.filtered += events[from+i]
			}
		}
		if err := f.group(from, run); err != nil {
			return err
		}
		for i, g := range run {
			if g == rollup.Skip {
				continue
			}
			if f.inGroups > math.MaxInt64-events[from+i] {
				return fmt.Errorf("%w: %s adds up to more than 64 bits hold", segment.ErrCorrupt, segment.EventsColumn)
			}
			f.events[g] += events[from+i]
			f.inGroups += events[from+i]
		}
		if err := f.states.AddStates(rec, from, run); err != nil {
			return fmt.Errorf("fold: %w", err)
		}
	}
	return nil
}

// eventsOf are the numbers of records that folded rows stand for.
func eventsOf(rec arrow.RecordBatch) ([]int64, error) {
	at := rec.Schema().FieldIndices(segment.EventsColumn)
	if len(at) != 1 {
		return nil, fmt.Errorf("fold: the rows have no column %s: they are not folded", segment.EventsColumn)
	}
	column, ok := rec.Column(at[0]).(*array.Int64)
	if !ok || column.NullN() > 0 {
		return nil, fmt.Errorf("%w: %s of type %s with %d nulls", segment.ErrCorrupt, segment.EventsColumn,
			rec.Column(at[0]).DataType(), rec.Column(at[0]).NullN())
	}
	for i, v := range column.Int64Values() {
		if v < 1 {
			return nil, fmt.Errorf("%w: row %d stands for %d records", segment.ErrCorrupt, i, v)
		}
	}
	return column.Int64Values(), nil
}

// group turns the marks of a run into groups: 0 becomes the row's group, Skip stays.
func (f *Folder) group(from int, run []uint32) error {
	width := f.keys.width
	keys, err := f.keys.fill(from, run)
	if err != nil {
		return err
	}
	var last []uint64 // key of the row before: rows are often sorted
	var group uint32
	for i, mark := range run {
		if mark == rollup.Skip {
			continue
		}
		key := keys[i*width : (i+1)*width]
		if last == nil || !equalKeys(key, last) {
			group = f.groups.find(key)
			last = key
		}
		run[i] = group
	}
	n := f.groups.len()
	if n > maxGroups {
		return ErrFull
	}
	if n > len(f.events) {
		f.events = append(f.events, make([]int64, n-len(f.events))...)
		f.states.Grow(n)
	}
	return nil
}

// Groups is the number of groups held.
func (f *Folder) Groups() int { return f.groups.len() }

// Events is the number of records that the groups held stand for.
func (f *Folder) Events() int64 { return f.inGroups }

// Filtered is the number of records that the filter has removed since New.
func (f *Folder) Filtered() int64 { return f.filtered }

// LeftOut counts, by metric and since New, the values of raw rows that an aggregator could not use (rollup.States.LeftOut).
func (f *Folder) LeftOut() []int64 {
	out := make([]int64, len(f.leftOut))
	copy(out, f.leftOut)
	if f.states != nil {
		for i, n := range f.states.LeftOut() {
			out[i] += n
		}
	}
	return out
}

// Bytes estimates the memory that the folder takes, with what Flush takes besides the batches that it emits.
func (f *Folder) Bytes() int64 {
	if f.states == nil {
		return 0
	}
	return f.groups.bytes() + f.keys.bytes() + int64(cap(f.events))*8 + f.states.Bytes() + int64(f.groups.len())*f.sortBytes()
}

// Release drops everything. It may be called more than once.
func (f *Folder) Release() {
	if f.failed == nil {
		f.failed = errors.New("fold: the folder has been released")
	}
	f.leftOut = f.LeftOut()
	f.groups, f.states, f.events, f.inGroups = newTable(f.keys.width), nil, nil, 0
	f.keys.reset()
}
