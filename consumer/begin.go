package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// planFor returns the plan of the newest facts: this version of the spec with the floors that are in force.
func (d *deps) planFor(ctx context.Context, s catalog.Supervisor) (*plan, error) {
	view, err := d.Versions.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	ds := view.Datasources[s.Datasource]
	if ds == nil {
		return nil, fmt.Errorf("supervisor %s: datasource %s is not in the catalog", s.ID, s.Datasource)
	}
	facts := segment.Facts{
		SpecVersion: s.Version, RetentionFloorMillis: ds.RetentionFloorMillis, DedupFloorMillis: ds.DedupFloorMillis,
	}
	return planOf(view, s, facts)
}

// planAt returns the plan of facts that an offset records, which may be older than the newest.
func (d *deps) planAt(ctx context.Context, s catalog.Supervisor, facts segment.Facts) (*plan, error) {
	view, err := d.Versions.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	if facts.SpecVersion != s.Version {
		if s, err = d.Versions.SupervisorVersion(ctx, s.ID, facts.SpecVersion); err != nil {
			return nil, err
		}
	}
	return planOf(view, s, facts)
}

func planOf(view *catalog.View, s catalog.Supervisor, facts segment.Facts) (*plan, error) {
	ds := view.Datasources[s.Datasource]
	if ds == nil {
		return nil, fmt.Errorf("supervisor %s: datasource %s is not in the catalog", s.ID, s.Datasource)
	}
	schema := ds.Schemas[s.SchemaID]
	if schema == nil {
		return nil, fmt.Errorf("supervisor %s version %d: schema %d of datasource %s is not in the catalog",
			s.ID, s.Version, s.SchemaID, s.Datasource)
	}
	parsed, _, err := spec.Parse(s.Spec)
	if err != nil {
		return nil, fmt.Errorf("supervisor %s version %d: %w", s.ID, s.Version, err)
	}
	return newPlan(facts, parsed, schema, ds.Datasource)
}

// begin finds out where and how to read. Until it succeeds it goes on trying, unless someone else owns the partition.
func (w *worker) begin(ctx context.Context, a Assignment) error {
	pause := 20 * time.Millisecond
	for {
		err := w.tryBegin(ctx, a)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final(err) && !curedByReading(err) {
			return err
		}
		w.failing(err)
		w.report()
		w.log.Warn("cannot begin to read yet", "error", err)
		if err := sleep(ctx, rand.N(pause)+time.Millisecond); err != nil {
			return err
		}
		pause = min(2*pause, w.d.Backoff)
	}
}

// curedByReading: the floors or the format have just changed, or a beginning was not answered: what stands in the catalog
// is read again.
func curedByReading(err error) bool {
	return errors.Is(err, catalog.ErrConflict) || (errors.Is(err, catalog.ErrUnknown) && !errors.Is(err, catalog.ErrIncarnation))
}

func (w *worker) tryBegin(ctx context.Context, a Assignment) error {
	off, mod, found, err := w.d.Offsets.ReadOffset(ctx, w.key)
	if err != nil {
		return err
	}
	target, err := w.d.planFor(ctx, a.Supervisor)
	if err != nil {
		return err
	}
	asked := time.Now()
	bounds, err := w.d.Broker.Bounds(ctx, target.spec, w.key.Topic, w.key.Partition)
	w.heard(asked, err)
	if err != nil {
		return err
	}
	current := target
	switch {
	case !found:
		if off, mod, err = w.first(ctx, target, bounds, a.FromEarliest); err != nil {
			return err
		}
	case off.Facts != target.facts:
		if current, err = w.d.planAt(ctx, a.Supervisor, off.Facts); err != nil {
			return err
		}
	}
	if w.batches, err = newBuilders(current); err != nil {
		return err
	}
	w.plan, w.target = current, target
	w.standing = standing{offset: off, modRevision: mod, revision: mod}
	w.next, w.leaderEpoch, w.clock, w.cutFrom = off.Next, off.LeaderEpoch, off.ClockMillis, off.Next
	w.newestMillis.Store(off.ClockMillis)
	w.rejectedTotal, w.unparseableTotal = off.Counters.Rejected, off.Counters.Unparseable
	w.catchUp, w.stableEnd, w.end = bounds.StableEnd, bounds.StableEnd, bounds.End
	w.stableSince = time.Now()
	w.hot.begin(off.Generation, off.Next, mod, w.catchUp, off.Facts)
	w.failing(nil)
	return w.examine(bounds)
}

// first puts a partition's first offset, before its first record is read.
func (w *worker) first(ctx context.Context, p *plan, b Bounds, fromEarliest bool) (catalog.Offset, int64, error) {
	start := catalog.Offset{TopicID: b.TopicID, Next: b.StableEnd, LeaderEpoch: -1, Facts: p.facts}
	if fromEarliest || p.spec.IO.UseEarliestOffset {
		start.Next = b.LogStart
	}
	mod, err := w.d.Offsets.Begin(ctx, w.owner, start)
	return start, mod, err
}

// examine compares the position with the log's bounds and halts where they do not fit.
func (w *worker) examine(b Bounds) error {
	known := w.standing.offset.TopicID
	if b.TopicID == known && b.StableEnd >= 0 {
		w.stableEnd = b.StableEnd
	}
	switch {
	case b.TopicID != known:
		w.halt(Halt{Reason: HaltRecreated, Message: fmt.Sprintf("topic %s has been deleted and created again: its id was %s, "+
			"now it is %s. What was committed stays. Submit a spec with another dataSource to read the new topic",
			w.key.Topic, known, b.TopicID)})
	case w.next < b.LogStart:
		return w.lose(w.next, b.LogStart)
	case w.next > b.End:
		w.halt(Halt{Reason: HaltTruncated, Message: fmt.Sprintf("%s ends at offset %d, but has been read to offset %d: the log was "+
			"truncated. Committed rows may no longer be in the log. Submit a spec with another dataSource to read it anew", w.place(), b.End, w.next)})
	}
	return nil
}

// lose deals with offsets that the log no longer holds: by policy they are committed as lost, else the partition halts.
func (w *worker) lose(from, to int64) error {
	w.halt(Halt{Reason: HaltLostRange, From: from, To: to, Message: fmt.Sprintf("offsets %d to %d of %s are lost: the "+
		"log no longer holds them. To record them as lost and go on, accept exactly these (drumlin gap list shows how), or submit the spec "+
		"with tuningConfig.resetOffsetAutomatically: true", from, to-1, w.place())})
	if w.target.spec.Tuning.ResetOffsetAutomatically {
		return w.acceptLoss()
	}
	return w.cut()
}
