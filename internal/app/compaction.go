package app

import (
	"context"
	"errors"
	"time"

	"drumlin/compaction"
	"drumlin/coordinator"
	"drumlin/internal/config"
	"drumlin/spec"
)

// startCompaction makes what collects objects, for the role coordinate, and what runs tasks and drops chunks. It has no
// goroutines of its own: the coordinator calls it.
func (n *node) startCompaction(context.Context) error {
	if !n.has(config.RoleCoordinate) && !n.has(config.RoleCompact) {
		return nil
	}
	executor, err := compaction.NewExecutor(compaction.ExecutorOptions{
		Objects: n.objects, TempDir: n.spillDir, MaxMemoryBytes: int64(n.config.Compaction.MaxBytes), Logger: n.world.Logger,
		Failpoints: n.world.Failpoints,
	})
	if err != nil {
		return err
	}
	n.collector, err = compaction.NewCollector(compaction.CollectorOptions{
		Catalog: n.catalog, Objects: n.objects, Logger: n.world.Logger, Now: time.Now,
	})
	if err != nil {
		return err
	}
	n.worker, err = compaction.NewWorker(compaction.WorkerOptions{
		Heads: n.catalog, Executor: executor, Collect: n.collectChunks, Logger: n.world.Logger,
	})
	return err
}

// collectChunks is the collection that a kill task asks for: at once, within its intervals.
func (n *node) collectChunks(ctx context.Context, datasource string, intervals []spec.Interval) (any, error) {
	return n.collector.Collect(ctx, &compaction.CollectFilter{Datasource: datasource, Intervals: intervals}, 0)
}

// collectAll is the collection that goes on by itself.
func (n *node) collectAll(ctx context.Context, graceMillis int64) (objects, bytes int64, err error) {
	report, err := n.collector.Collect(ctx, nil, graceMillis)
	return report.Deleted, report.Bytes, errors.Join(err, n.abortUploads(ctx))
}

// uploader is an object store in which a process that dies leaves unfinished uploads behind.
type uploader interface {
	AbortUploads(ctx context.Context, before time.Time) (int, error)
}

// longestUpload is more than any upload takes. One that were under way for longer would fail, and be made again.
const longestUpload = 24 * time.Hour

func (n *node) abortUploads(ctx context.Context) error {
	store, ok := n.objects.(uploader)
	if !ok {
		return nil
	}
	aborted, err := store.AbortUploads(ctx, time.Now().Add(-longestUpload))
	if aborted > 0 {
		n.world.Logger.Info("gave up uploads that dead processes had left", "uploads", aborted)
	}
	return err
}

func (n *node) compactionOptions() coordinator.CompactionOptions {
	return coordinator.CompactionOptions{
		MaxSlots: n.config.Compaction.ClusterSlots, NodeSlots: n.config.Compaction.Slots,
		RecentEvery: n.config.Compaction.RecentInterval, HistoricalEvery: n.config.Compaction.HistoricalInterval,
		RetentionEvery: n.config.Compaction.RetentionInterval, CollectEvery: n.config.Compaction.CollectInterval, CollectGrace: n.config.Compaction.CollectGrace,
	}
}
