package compaction

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"drumlin/catalog"
	"drumlin/objectstore"
)

// deleter deletes objects, some at a time. wait must be called before its counts are read.
type deleter struct {
	objects CollectorObjects
	group   errgroup.Group

	mu             sync.Mutex
	deleted, bytes int64
	failed         int64
	first          error // of those that failed
}

func newDeleter(objects CollectorObjects, parallel int) *deleter {
	d := &deleter{objects: objects}
	d.group.SetLimit(parallel)
	return d
}

// delete deletes the object while the caller goes on, and waits where too many are being deleted. failed runs where it
// could not be.
func (d *deleter) delete(ctx context.Context, info objectstore.Info, failed func()) {
	d.group.Go(func() error {
		if d.now(ctx, info) != nil {
			failed()
		}
		return nil
	})
}

// now deletes the object, and counts it.
func (d *deleter) now(ctx context.Context, info objectstore.Info) error {
	err := d.objects.Delete(ctx, info.Key)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.failed++
		if d.first == nil {
			d.first = err
		}
		return err
	}
	d.deleted, d.bytes = d.deleted+1, d.bytes+info.Bytes
	return nil
}

// wait waits for all deletions and tells how the first one failed.
func (d *deleter) wait() error {
	_ = d.group.Wait() // its functions return no error
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed > 0 {
		return fmt.Errorf("%d objects could not be deleted, and stay for the next collection: %w", d.failed, d.first)
	}
	return nil
}

// maxTaskObjects is how many objects of deleted tasks one collection remembers between listing and deleting.
const maxTaskObjects = 100_000

// sweepTasks deletes reports and logs whose task has been deleted. They are listed before the catalog is asked: a task is
// there before the first object of it, and does not come back.
func (r *collection) sweepTasks(ctx context.Context, d *deleter) error {
	before, err := r.c.o.Catalog.Refresh(ctx)
	if err != nil {
		return err
	}
	var suspects []objectstore.Info
	err = r.c.o.Objects.List(ctx, catalog.TaskObjectPrefix, func(info objectstore.Info) bool {
		r.report.Listed++
		id, ok := catalog.TaskOfObject(info.Key)
		switch {
		case !ok:
			r.report.Kept[keptNameless]++
		case before.Tasks[id] != nil:
			r.report.Kept[keptForTask]++
		default:
			suspects = append(suspects, info)
		}
		return len(suspects) < maxTaskObjects
	})
	if err != nil || len(suspects) == 0 {
		return err
	}
	after, err := r.c.o.Catalog.Refresh(ctx)
	if err != nil {
		return err
	}
	for _, info := range suspects {
		if id, _ := catalog.TaskOfObject(info.Key); after.Tasks[id] != nil {
			r.report.Kept[keptForTask]++
			continue
		}
		d.delete(ctx, info, func() {})
	}
	return nil
}
