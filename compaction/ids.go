package compaction

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/catalog"
	"drumlin/segment"
)

// idsOutput is what becomes of a job's sidecars.
type idsOutput struct {
	sidecars []catalog.Sidecar // new ones
	replaced bool              // the old ones go
	filtered *idSorter         // identities of raw rows that the plan's filter removes
}

// comparesIDs says whether rows have identities that others may have too.
func (x *execution) comparesIDs() bool {
	if !x.job.Schema.Dedup {
		return false
	}
	return slices.ContainsFunc(x.inputs, func(in *input) bool { return !in.meta.Folded })
}

// findLosers is the first pass: it marks the rows that are copies of others, or of what a sidecar remembers, and writes
// the new sidecar where it is known already which identities it holds. Losers are found before anything is filtered or
// aggregated: an aggregate does not tell any more what went into it.
func (x *execution) findLosers(ctx context.Context) error {
	x.countDiscarded()
	if !x.comparesIDs() {
		return x.keepSidecars(ctx, nil)
	}
	entries := newIDSorter(x, x.e.o.MaxMemoryBytes/4)
	defer entries.close()
	sources, err := x.scanIDs(ctx, entries)
	if err != nil {
		return err
	}
	r := resolver{x: x, ranks: sources.ranks()}
	remembers := (x.folds || x.job.Mode == ModeDiscard) && !x.job.ForgetIDs
	if remembers {
		r.sink = newSidecarWriter(x)
		defer r.sink.abort()
	}
	if err := r.resolve(ctx, entries, x.sidecars); err != nil {
		return err
	}
	if x.job.Mode == ModeDiscard {
		x.stats.Filtered -= r.duplicates
	}
	switch {
	case remembers && r.fresh == 0 && len(x.sidecars) == 1:
		return nil // it would hold what the old one holds
	case remembers:
		x.ids.replaced = true
		return r.sink.finish(ctx, x)
	case x.folds || x.job.Mode == ModeDiscard || x.plan.Definition() == nil || x.plan.Definition().Filter == nil || x.job.Mode == ModeTail:
		return x.keepSidecars(ctx, nil)
	}
	x.ids.filtered = newIDSorter(x, x.e.o.MaxMemoryBytes/16)
	return nil
}

// countDiscarded: of a job that removes everything, what is no copy counts as filtered.
func (x *execution) countDiscarded() {
	if x.job.Mode == ModeDiscard {
		x.stats.Filtered = x.stats.InputEvents
	}
}

// keepSidecars ends the job's sidecars once the further identities, if any, are known: they stay as they are, or are joined
// into one, or are forgotten.
func (x *execution) keepSidecars(ctx context.Context, more *idSorter) error {
	fresh := more != nil && more.total > 0
	switch {
	case x.job.Mode == ModeTail:
		return nil
	case x.job.ForgetIDs:
		x.ids.replaced = true
		return nil
	case !fresh && len(x.sidecars) <= 1:
		return nil
	}
	if more == nil {
		more = newIDSorter(x, 0)
		defer more.close()
	}
	sink := newSidecarWriter(x)
	defer sink.abort()
	r := resolver{x: x, sink: sink, idsOnly: true}
	if err := r.resolve(ctx, more, x.sidecars); err != nil {
		return err
	}
	x.ids.replaced = true
	return sink.finish(ctx, x)
}

// scanIDs reads identity and position of all raw rows.
func (x *execution) scanIDs(ctx context.Context, to *idSorter) (*positionSources, error) {
	sources := &positionSources{numbers: map[positionSource]uint32{}}
	raw := slices.DeleteFunc(slices.Clone(x.inputs), func(in *input) bool { return in.meta.Folded })
	columns := []int32{
		segment.IDHighColumnID, segment.IDLowColumnID, segment.TopicColumnID, segment.GenerationColumnID,
		segment.PartitionColumnID, segment.OffsetColumnID,
	}
	err := x.eachBatch(ctx, raw, columns, func(b inputBatch) error {
		defer x.release(b.heldBatch)
		c, err := identityColumnsOf(b.in.object, b.rec)
		if err != nil {
			return err
		}
		for row := range int(b.rec.NumRows()) {
			if c.high.IsNull(row) || c.low.IsNull(row) {
				x.stats.Keyless++
				continue
			}
			entry := idEntry{
				hi: c.high.Value(row), lo: c.low.Value(row), offset: c.offset.Value(row),
				source: sources.number(c.topic.Value(row), c.generation.Value(row), c.partition.Value(row)),
				input:  uint32(b.in.number), row: uint32(b.first + row),
			}
			if err := to.add(ctx, entry); err != nil {
				return err
			}
		}
		return nil
	})
	return sources, err
}

type identityColumns struct {
	high, low, offset     *array.Int64
	topic                 *array.String
	generation, partition *array.Int32
}

// identityColumnsOf finds the columns of identity and position. A raw segment of a datasource with dedup has them all.
func identityColumnsOf(object string, rec arrow.RecordBatch) (c identityColumns, err error) {
	at := columnsByID(rec.Schema(), segment.IDHighColumnID, segment.IDLowColumnID, segment.TopicColumnID,
		segment.GenerationColumnID, segment.PartitionColumnID, segment.OffsetColumnID)
	if slices.Min(at) < 0 {
		return c, fmt.Errorf("%s has no columns of identity and position: %w", object, segment.ErrCorrupt)
	}
	var ok [6]bool
	c.high, ok[0] = rec.Column(at[0]).(*array.Int64)
	c.low, ok[1] = rec.Column(at[1]).(*array.Int64)
	c.topic, ok[2] = rec.Column(at[2]).(*array.String)
	c.generation, ok[3] = rec.Column(at[3]).(*array.Int32)
	c.partition, ok[4] = rec.Column(at[4]).(*array.Int32)
	c.offset, ok[5] = rec.Column(at[5]).(*array.Int64)
	if slices.Contains(ok[:], false) {
		return c, fmt.Errorf("%s has columns of identity and position of other types: %w", object, segment.ErrCorrupt)
	}
	return c, nil
}

// positionSource is a position without its offset.
type positionSource struct {
	topic                 string
	generation, partition int32
}

// positionSources numbers them as they are met.
type positionSources struct {
	numbers map[positionSource]uint32
	list    []positionSource
	last    positionSource
	lastNo  uint32
}

func (p *positionSources) number(topic string, generation, partition int32) uint32 {
	if len(p.list) > 0 && p.last.partition == partition && p.last.generation == generation && p.last.topic == topic {
		return p.lastNo
	}
	no, ok := p.numbers[positionSource{topic, generation, partition}]
	if !ok {
		// The text points into a batch that goes away.
		source := positionSource{string([]byte(topic)), generation, partition}
		no = uint32(len(p.list))
		p.numbers[source] = no
		p.list = append(p.list, source)
	}
	p.last, p.lastNo = p.list[no], no
	return no
}

// ranks gives each number its place in the order of positions.
func (p *positionSources) ranks() []uint32 {
	order := make([]uint32, len(p.list))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		s, o := p.list[a], p.list[b]
		return cmp.Or(cmp.Compare(s.topic, o.topic), cmp.Compare(s.generation, o.generation), cmp.Compare(s.partition, o.partition))
	})
	ranks := make([]uint32, len(order))
	for rank, no := range order {
		ranks[no] = uint32(rank)
	}
	return ranks
}

// resolver decides, one identity after the other, which row stays.
type resolver struct {
	x          *execution
	ranks      []uint32       // of sources
	sink       *sidecarWriter // takes every identity; nil: none is remembered
	idsOnly    bool           // the entries stand for no rows
	duplicates int64
	fresh      int64 // identities that no sidecar had
}

// resolve goes through the entries and the sidecars by identity. Sidecars are exact: an identity that is in one is known,
// one that is in none is new.
func (r *resolver) resolve(ctx context.Context, entries *idSorter, sidecars []*input) error {
	stream, err := entries.merged(ctx, sidecars)
	if err != nil {
		return err
	}
	defer stream.close()
	var same []idEntry
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		entry, ok, err := stream.next(ctx)
		if err != nil {
			return err
		}
		if len(same) > 0 && (!ok || entry.hi != same[0].hi || entry.lo != same[0].lo) {
			if err := r.decide(ctx, same); err != nil {
				return err
			}
			same = same[:0]
		}
		if !ok {
			r.x.stats.Duplicates += r.duplicates
			return nil
		}
		same = append(same, entry)
	}
}

// checkEvery is how many rows pass between two looks at the context.
const checkEvery = 1 << 14

// decide judges the entries of one identity. What is known loses always; else all but the lowest position lose, and once
// lost is lost for ever, so that the verdict is the same for any tree of merges.
func (r *resolver) decide(ctx context.Context, same []idEntry) error {
	known := slices.ContainsFunc(same, func(e idEntry) bool { return e.input == sidecarInput })
	if !known {
		r.fresh++
	}
	if !r.idsOnly && !(known && len(same) == 1) {
		winner := -1
		for i := range same {
			if !known && (winner < 0 || r.before(same[i], same[winner])) {
				winner = i
			}
		}
		for i, e := range same {
			if i == winner || e.input == sidecarInput {
				continue
			}
			in := r.x.inputs[e.input]
			if int64(e.row) >= in.rows {
				return errors.New("an identity points outside its segment")
			}
			in.losers.set(int(e.row), in.rows)
			r.duplicates++
		}
	}
	if r.sink == nil {
		return nil
	}
	return r.sink.add(ctx, same[0].hi, same[0].lo)
}

func (r *resolver) before(a, b idEntry) bool {
	return cmp.Or(cmp.Compare(r.ranks[a.source], r.ranks[b.source]), cmp.Compare(a.offset, b.offset),
		cmp.Compare(a.input, b.input), cmp.Compare(a.row, b.row)) < 0
}
