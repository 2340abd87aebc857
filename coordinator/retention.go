package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/spec"
)

// retain raises the retention floors that rules ask for, and drops what lies wholly below a floor.
func (d *duties) retain(ctx context.Context, claims compaction.Claims) error {
	view, err := d.c.o.Catalog.Refresh(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(view.Datasources)) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := d.retainDatasource(ctx, view.Datasources[name], claims); err != nil {
			errs = append(errs, fmt.Errorf("retention of %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (d *duties) retainDatasource(ctx context.Context, ds *catalog.DatasourceView, claims compaction.Claims) error {
	floor, err := retentionFloor(ds, d.c.o.Now().UnixMilli())
	if err != nil {
		return err
	}
	if floor > ds.RetentionFloorMillis {
		if err := d.raise(ctx, ds.Name, catalog.Floors{RetentionMillis: floor}); err != nil {
			return err
		}
	}
	if max(floor, ds.RetentionFloorMillis, ds.DedupFloorMillis) == 0 {
		return nil
	}
	dropped, err := d.c.o.Worker.Drop(ctx, ds.Name, claims)
	d.c.metrics.chunksDropped(dropped)
	return err
}

// retentionFloor is the floor that the datasource's rules ask for now; 0: none. A datasource without chunks has nothing to
// drop: its floor rises once there is something.
func retentionFloor(ds *catalog.DatasourceView, nowMillis int64) (int64, error) {
	if ds.Rules == nil || len(ds.Buckets) == 0 {
		return 0, nil
	}
	rules, _, err := spec.ParseRules(ds.Rules.Value)
	if err != nil {
		return 0, fmt.Errorf("version %d of the rules cannot be read by this program: %w", ds.Rules.Version, err)
	}
	return floorOf(ds, rules, nowMillis)
}

func floorOf(ds *catalog.DatasourceView, rules []spec.Rule, nowMillis int64) (int64, error) {
	granularity, err := spec.ParseGranularity(ds.SegmentGranularity)
	if err != nil {
		return 0, err
	}
	return compaction.RetentionFloor(rules, granularity, nowMillis, ds.Buckets[0].Bucket.StartMillis), nil
}

// dropWarning tells what new rules are about to take away; empty: nothing that is there now. What is dropped stays so,
// whatever the rules become.
func dropWarning(ds *catalog.DatasourceView, rules []spec.Rule, nowMillis int64) (string, error) {
	if len(ds.Buckets) == 0 {
		return "", nil
	}
	floor, err := floorOf(ds, rules, nowMillis)
	if err != nil {
		return "", err
	}
	var chunks, events int64
	for _, b := range ds.Buckets {
		if b.Bucket.EndMillis > floor || b.Dropped() || len(b.Settled)+len(b.Tail) == 0 {
			continue
		}
		chunks++
		for i := range b.Settled {
			events += b.Settled[i].InputRows()
		}
		for i := range b.Tail {
			events += b.Tail[i].InputRows()
		}
	}
	if chunks == 0 {
		return "", nil
	}
	return fmt.Sprintf("everything before %s will be dropped for ever when the rules are looked at next: time chunks: %d, records: %d",
		spec.FormatInstant(floor), chunks, events), nil
}

// raise raises floors. That others have raised them meanwhile is as good.
func (d *duties) raise(ctx context.Context, datasource string, to catalog.Floors) error {
	_, err := d.c.o.Catalog.RaiseFloors(ctx, datasource, to)
	if errors.Is(err, catalog.ErrConflict) || errors.Is(err, catalog.ErrUnknown) {
		return nil // the next round reads what has become of it
	}
	if err == nil {
		d.c.o.Logger.Info("floor raised", "datasource", datasource, "retention", to.RetentionMillis, "dedup", to.DedupMillis)
	}
	return err
}

// raiseDedupFloors raises the dedup floors of datasources whose spec has a horizon.
func (d *duties) raiseDedupFloors(ctx context.Context) error {
	view, err := d.c.o.Catalog.Refresh(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(view.Datasources)) {
		ds := view.Datasources[name]
		floor, err := d.horizonFloor(ctx, view, ds)
		if err == nil && floor > ds.DedupFloorMillis {
			err = d.raise(ctx, name, catalog.Floors{DedupMillis: floor})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("dedup floor of %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// horizonFloor is the dedup floor that the horizon of the datasource's spec allows; 0: none.
func (d *duties) horizonFloor(ctx context.Context, view *catalog.View, ds *catalog.DatasourceView) (int64, error) {
	if ds.Schema == nil || !ds.Schema.Dedup {
		return 0, nil
	}
	granularity, err := spec.ParseGranularity(ds.SegmentGranularity)
	if err != nil {
		return 0, err
	}
	floor := int64(0)
	for _, id := range slices.Sorted(maps.Keys(view.Supervisors)) {
		sup := view.Supervisors[id]
		if sup.Datasource != ds.Name {
			continue
		}
		parsed, _, err := spec.Parse(sup.Spec)
		if err != nil {
			return 0, fmt.Errorf("version %d of supervisor %s cannot be read by this program: %w", sup.Version, id, err)
		}
		if parsed.DataSchema.Dedup == nil || parsed.DataSchema.Dedup.HorizonMillis == 0 {
			return 0, nil
		}
		reaches, err := d.reaches(ctx, sup, parsed)
		if err != nil {
			return 0, err
		}
		one := dedupFloor(reaches, parsed.DataSchema.Dedup.HorizonMillis, granularity)
		if one == 0 {
			return 0, nil
		}
		if floor == 0 || one < floor {
			floor = one
		}
	}
	return floor, nil
}

// reach is how far a partition has come: its clock, or that it holds nothing that has not been read and has never had one.
type reach struct {
	clockMillis int64 // 0: no record yet, in this generation
	empty       bool  // without a clock: the brokers hold no record that is not behind its offset
}

// reaches collects those of all partitions that the supervisor reads or has read. Partitions that are known and have no
// clock yet are asked of the brokers.
func (d *duties) reaches(ctx context.Context, sup *catalog.SupervisorView, parsed *spec.Supervisor) ([]reach, error) {
	d.c.mu.Lock()
	found := d.c.found[sup.ID]
	known := found != nil && found.done && found.err == nil
	keys := map[catalog.PartitionKey]bool{}
	if known {
		maps.Copy(keys, found.partitions)
	}
	d.c.mu.Unlock()
	if !known {
		return nil, nil // what there is to read is not known here: the floor stays where it is
	}
	for key := range sup.Partitions {
		keys[key] = true
	}
	var out []reach
	var silent []catalog.PartitionKey
	topics := map[string]bool{}
	for key := range keys {
		if p := sup.Partitions[key]; p != nil && p.Offset.ClockMillis > 0 {
			out = append(out, reach{clockMillis: p.Offset.ClockMillis})
			continue
		}
		silent = append(silent, key)
		topics[key.Topic] = true
	}
	if len(silent) == 0 {
		return out, nil
	}
	marks, err := d.c.o.Topics.HighWatermarks(ctx, parsed, slices.Sorted(maps.Keys(topics)))
	if err != nil {
		return nil, fmt.Errorf("ask whether partitions without a record are empty: %w", err)
	}
	for _, key := range silent {
		next := int64(0)
		if p := sup.Partitions[key]; p != nil && p.OffsetRevision > 0 {
			next = p.Offset.Next
		}
		end, answered := marks[key.Topic][key.Partition]
		out = append(out, reach{empty: answered && end <= next})
	}
	return out, nil
}

// dedupFloor is the start of a bucket: every bucket that ends there or before is beyond the horizon by the clock of every
// partition, so that the floor refuses no record that the partitions themselves would take. An idle partition holds the
// floor back, as the next record of it is judged by its old clock, and so does one with records that nobody has read. A
// partition that is empty, and has never had a record, does not count: it has no clock, and would hold back the floor for
// ever. 0: there is no floor yet. It is a pure function.
func dedupFloor(reaches []reach, horizonMillis int64, g spec.Granularity) int64 {
	oldest := int64(0)
	for _, r := range reaches {
		switch {
		case r.clockMillis == 0 && r.empty:
		case r.clockMillis == 0:
			return 0
		case oldest == 0 || r.clockMillis < oldest:
			oldest = r.clockMillis
		}
	}
	if oldest == 0 || oldest-horizonMillis <= 0 {
		return 0
	}
	// A bucket is beyond the horizon where its end + horizon lies below the clock: strictly.
	start, _ := g.Chunk(oldest - horizonMillis - 1)
	return max(start, 0)
}
