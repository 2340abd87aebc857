package rollup

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Skip in a list of groups leaves a row out of every aggregate.
const Skip = ^uint32(0)

// States holds one state per group and metric. Groups are numbers from 0 on, which the caller gives. It is not safe for
// concurrent use. After an error it must be dropped: some of the rows are in it.
type States struct {
	plan     *Plan
	len      int
	aggs     []aggregate
	leftOut  []int64
	batch    batch
	filtered []uint32
	topics   topics
}

// accumulator takes rows and states of one metric. Groups are below the grown length, or Skip.
type accumulator interface {
	grow(groups int)
	addRows(b *batch, groups []uint32) (leftOut int64, err error)
	// addStates takes the state columns, as CheckStates accepted them; row from+i goes to groups[i].
	addStates(columns []arrow.Array, from int, groups []uint32) error
}

// output gives the states or values of the groups in order, in columns that the caller releases.
type output interface {
	columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error)
	final(mem memory.Allocator, order []uint32) (arrow.Array, error)
	bytes() int64
}

type aggregate interface {
	accumulator
	output
}

// NewStates returns states of no group.
func (p *Plan) NewStates() *States {
	s := &States{plan: p, leftOut: make([]int64, len(p.metrics))}
	for i := range p.metrics {
		s.aggs = append(s.aggs, p.metrics[i].make(s, &p.metrics[i]))
	}
	return s
}

// Len is the number of groups.
func (s *States) Len() int { return s.len }

// Grow makes room for groups up to that number; the new ones are empty.
func (s *States) Grow(groups int) {
	if groups <= s.len {
		return
	}
	s.len = groups
	for _, a := range s.aggs {
		a.grow(groups)
	}
}

// LeftOut counts, by metric, the values that the aggregator could not use: NaN, infinite values in sums and quantiles,
// doubles beyond 64 bits in long aggregators. It counts those of AddRows, not those of stored states.
func (s *States) LeftOut() []int64 { return append([]int64(nil), s.leftOut...) }

// Bytes estimates the memory that the states take.
func (s *States) Bytes() int64 {
	var sum int64
	for _, a := range s.aggs {
		sum += a.bytes()
	}
	return sum
}

// AddRows aggregates the rows [from, from+len(groups)) of a record: row from+i goes to groups[i].
func (s *States) AddRows(rows Rows, from int, groups []uint32) error {
	if err := s.check(rows.Record, from, groups); err != nil {
		return err
	}
	s.batch.reset(rows, from, len(groups))
	defer s.batch.reset(Rows{}, 0, 0)
	for i, a := range s.aggs {
		m := &s.plan.metrics[i]
		chosen, err := s.choose(m, groups)
		if err == nil {
			var leftOut int64
			leftOut, err = a.addRows(&s.batch, chosen)
			s.leftOut[i] += leftOut
		}
		if err != nil {
			return fmt.Errorf("metric %s: %w", m.Name, err)
		}
	}
	return nil
}

// choose skips the rows that the metric's filter leaves out.
func (s *States) choose(m *compiled, groups []uint32) ([]uint32, error) {
	if m.where == nil {
		return groups, nil
	}
	truths := s.batch.truths()
	defer func() { s.batch.triUsed-- }()
	if err := m.where.eval(&s.batch, truths); err != nil {
		return nil, err
	}
	s.filtered = s.filtered[:0]
	for i, g := range groups {
		if truths[i] != isTrue {
			g = Skip
		}
		s.filtered = append(s.filtered, g)
	}
	return s.filtered, nil
}

// AddStates merges stored states: the state in row from+i goes to groups[i]. A state that is none is segment.ErrCorrupt.
func (s *States) AddStates(rec arrow.RecordBatch, from int, groups []uint32) error {
	if err := s.check(rec, from, groups); err != nil {
		return err
	}
	if err := s.plan.CheckStates(rec.Schema()); err != nil {
		return err
	}
	var columns []arrow.Array
	for i, a := range s.aggs {
		m := &s.plan.metrics[i]
		columns = columns[:0]
		for _, f := range m.fields {
			columns = append(columns, rec.Column(rec.Schema().FieldIndices(f.Name)[0]))
		}
		if err := a.addStates(columns, from, groups); err != nil {
			return fmt.Errorf("metric %s: %w", m.Name, err)
		}
	}
	return nil
}

// Merge merges other's group i into groups[i]. Both must be of plans with the same metrics; other is unchanged.
func (s *States) Merge(mem memory.Allocator, other *States, groups []uint32) error {
	order := make([]uint32, other.len)
	for i := range order {
		order[i] = uint32(i)
	}
	columns, err := other.Columns(mem, order)
	if err != nil {
		return err
	}
	rec := record(other.plan.StateFields(), columns, other.len)
	defer rec.Release()
	return s.AddStates(rec, 0, groups)
}

func (s *States) check(rec arrow.RecordBatch, from int, groups []uint32) error {
	if from < 0 || int64(from)+int64(len(groups)) > rec.NumRows() {
		return fmt.Errorf("rows %d to %d of a record of %d rows", from, from+len(groups), rec.NumRows())
	}
	return s.checkGroups(groups, true)
}

func (s *States) checkGroups(groups []uint32, skip bool) error {
	for _, g := range groups {
		if g >= uint32(s.len) && (g != Skip || !skip) {
			return fmt.Errorf("group %d of %d: grow first", g, s.len)
		}
	}
	return nil
}

// Columns gives the states of the groups in that order, in the columns of Plan.StateFields. The caller releases them.
func (s *States) Columns(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	return s.emit(order, func(a aggregate) ([]arrow.Array, error) { return a.columns(mem, order) })
}

// Final gives the values of the groups in that order, in the columns of Plan.FinalFields. The caller releases them.
func (s *States) Final(mem memory.Allocator, order []uint32) ([]arrow.Array, error) {
	return s.emit(order, func(a aggregate) ([]arrow.Array, error) {
		column, err := a.final(mem, order)
		return []arrow.Array{column}, err
	})
}

func (s *States) emit(order []uint32, one func(aggregate) ([]arrow.Array, error)) ([]arrow.Array, error) {
	if err := s.checkGroups(order, false); err != nil {
		return nil, err
	}
	var out []arrow.Array
	for i, a := range s.aggs {
		columns, err := one(a)
		if err != nil {
			for _, c := range out {
				c.Release()
			}
			var overflow *OverflowError
			if errors.As(err, &overflow) {
				return nil, err // it names the metric
			}
			return nil, fmt.Errorf("metric %s: %w", s.plan.metrics[i].Name, err)
		}
		out = append(out, columns...)
	}
	return out, nil
}
