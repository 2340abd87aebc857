package coordinator

import "context"

// CollectFunc deletes what nothing shows any more, but for what was replaced less than graceMillis ago, and says how much that
// was.
type CollectFunc func(ctx context.Context, graceMillis int64) (objects, bytes int64, err error)

// collect runs one round of collection.
func (d *duties) collect(ctx context.Context) error {
	objects, bytes, err := d.c.o.Collect(ctx, d.c.o.Compaction.CollectGrace.Milliseconds())
	d.c.metrics.collected(objects, bytes)
	if objects > 0 {
		d.c.o.Logger.Info("collected what nothing shows any more", "objects", objects, "bytes", bytes)
	}
	return err
}
