package compaction

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"drumlin/catalog"
	"drumlin/objectstore"
	"drumlin/spec"
)

// CollectorCatalog is what a Collector asks the catalog; *catalog.Catalog has it.
type CollectorCatalog interface {
	ReapCommits(ctx context.Context) (reaped int, err error)
	Collect(ctx context.Context) (*catalog.Collection, error)
	Refresh(ctx context.Context) (*catalog.View, error)
}

// CollectorObjects is what a Collector does to objects; every objectstore.Store has it.
type CollectorObjects interface {
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	List(ctx context.Context, prefix string, fn func(objectstore.Info) bool) error
	Delete(ctx context.Context, key string) error
}

// CollectorOptions are what a Collector stands on. Zero limits mean the defaults.
type CollectorOptions struct {
	Catalog CollectorCatalog
	Objects CollectorObjects
	Logger  *slog.Logger
	Now     func() time.Time // for the grace period only
	// Parallel limits requests to the object store at a time. Default 8.
	Parallel int
	// MaxRetired limits how many replaced objects are held in memory at a time; what is past it waits for a later
	// collection. Default 1,000,000 (about 200 MB).
	MaxRetired int
}

// Collector deletes objects that nothing shows any more and nothing can name again. What may go is the catalog's word
// (catalog.Collection); the collector lists, asks, deletes and counts. Any number of them may run at a time, beside
// appends and swaps, and may be stopped anywhere.
type Collector struct{ o CollectorOptions }

// NewCollector returns a collector.
func NewCollector(o CollectorOptions) (*Collector, error) {
	if o.Catalog == nil || o.Objects == nil {
		return nil, errors.New("new collector: a catalog and an object store are needed")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.MaxRetired <= 0 {
		o.MaxRetired = 1_000_000
	}
	return &Collector{o: o}, nil
}

// CollectFilter narrows a collection to the segments, sidecars and manifests of one datasource whose bucket begins in one of
// the intervals.
type CollectFilter struct {
	Datasource string
	Intervals  []spec.Interval
}

func (f *CollectFilter) covers(millis int64) bool {
	return slices.ContainsFunc(f.Intervals, func(i spec.Interval) bool { return millis >= i.StartMillis && millis < i.EndMillis })
}

// CollectReport says what a collection has done. Objects are counted once; what was kept is counted by the reason.
type CollectReport struct {
	Revision int64            `json:"revision"` // of the catalog that it was decided at
	Reaped   int              `json:"reapedCommits"`
	Listed   int64            `json:"listed"`
	Deleted  int64            `json:"deleted"`
	Bytes    int64            `json:"bytes"` // of the deleted
	Failed   int64            `json:"failed"`
	Kept     map[string]int64 `json:"kept"`
}

// Collect deletes what may go: everywhere, or where only says. What was replaced less than graceMillis ago stays for the
// sake of readers that planned before. It goes on where single objects cannot be deleted, and returns the first such
// error; the report holds what was done all the same.
func (c *Collector) Collect(ctx context.Context, only *CollectFilter, graceMillis int64) (CollectReport, error) {
	report := CollectReport{Kept: map[string]int64{}}
	var err error
	report.Reaped, err = c.o.Catalog.ReapCommits(ctx)
	if errors.Is(err, catalog.ErrConflict) {
		c.o.Logger.Info("the keys of absorbed commits are left to the process that deletes them now", "error", err)
	} else if err != nil {
		return report, fmt.Errorf("collect: %w", err)
	}
	facts, err := c.o.Catalog.Collect(ctx)
	if err != nil {
		return report, err
	}
	report.Revision = facts.Revision
	run := &collection{
		c: c, only: only, facts: facts, now: c.o.Now().UnixMilli(), graceMillis: graceMillis, report: &report,
		retired: map[string]retirement{},
	}
	if err := run.all(ctx); err != nil {
		return report, fmt.Errorf("collect: %w", err)
	}
	return report, nil
}

// collection is one run of a collector.
type collection struct {
	c           *Collector
	only        *CollectFilter // nil: everything
	facts       *catalog.Collection
	now         int64 // wall clock in Unix milliseconds
	graceMillis int64
	report      *CollectReport

	markers []marker              // those of which some object may still stand
	retired map[string]retirement // by object: what those markers name as replaced
	partial bool                  // there are markers past the limit: what is not in retired may have been replaced, too
}

// Reasons why the collector itself keeps an object.
const (
	keptForLater      = "too many objects were replaced: its turn comes"
	keptForRebuild    = "it is a marker that a rebuild or a later collection needs"
	keptForTask       = "its task is in the catalog"
	keptNameless      = "its name is not one of ours"
	keptOutsideFilter = "its bucket lies outside the intervals"
)

func (r *collection) all(ctx context.Context) error {
	if err := r.readMarkers(ctx); err != nil {
		return err
	}
	d := newDeleter(r.c.o.Objects, r.c.o.Parallel)
	err := r.sweepAll(ctx, d)
	if err == nil && r.only == nil {
		err = r.sweepTasks(ctx, d)
	}
	failed := d.wait()
	if err == nil && r.only == nil {
		err = r.settleMarkers(ctx, d)
	}
	r.report.Deleted, r.report.Bytes, r.report.Failed = d.deleted, d.bytes, d.failed
	if err == nil {
		err = failed
	}
	return err
}

// sweepAll lists what the catalog's facts judge.
func (r *collection) sweepAll(ctx context.Context, d *deleter) error {
	for _, prefix := range r.prefixes() {
		err := r.c.o.Objects.List(ctx, prefix, func(info objectstore.Info) bool {
			r.report.Listed++
			ok, reason := r.mayDelete(info.Key)
			if !ok {
				r.keep(info.Key, reason)
				return true
			}
			d.delete(ctx, info, func() { r.stands(info.Key) })
			return ctx.Err() == nil
		})
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (r *collection) mayDelete(object string) (ok bool, reason string) {
	if r.only != nil {
		if start, known := bucketStart(object); !known || !r.only.covers(start) {
			return false, keptOutsideFilter
		}
	}
	entry, known := r.retired[object]
	if !known {
		ok, reason = r.facts.MayDelete(object, nil, r.now, r.graceMillis)
		if ok && r.partial {
			return false, keptForLater
		}
		return ok, reason
	}
	return r.facts.MayDelete(object, &entry.Retired, r.now, r.graceMillis)
}

// keep counts an object that stays.
func (r *collection) keep(object, reason string) {
	r.report.Kept[reason]++
	r.stands(object)
}
