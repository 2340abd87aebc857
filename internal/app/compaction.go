package app

import (
	"context"
	"time"

	"drumlin/compaction"
	"drumlin/coordinator"
	"drumlin/spec"
)

// startCompaction makes what runs tasks and collects objects. It has no goroutines of its own: the coordinator calls it.
func (d *dev) startCompaction(context.Context) error {
	executor, err := compaction.NewExecutor(compaction.ExecutorOptions{
		Objects: d.objects, TempDir: d.config.spillDir(), MaxMemoryBytes: d.config.MaxCompactionBytes, Logger: d.world.Logger,
		Failpoints: d.world.Failpoints,
	})
	if err != nil {
		return err
	}
	d.collector, err = compaction.NewCollector(compaction.CollectorOptions{
		Catalog: d.catalog, Objects: d.objects, Logger: d.world.Logger, Now: time.Now,
	})
	if err != nil {
		return err
	}
	d.worker, err = compaction.NewWorker(compaction.WorkerOptions{
		Heads: d.catalog, Executor: executor, Collect: d.collectChunks, Logger: d.world.Logger,
	})
	return err
}

// collectChunks is the collection that a kill task asks for: at once, within its intervals.
func (d *dev) collectChunks(ctx context.Context, datasource string, intervals []spec.Interval) (any, error) {
	return d.collector.Collect(ctx, &compaction.CollectFilter{Datasource: datasource, Intervals: intervals}, 0)
}

// collectAll is the collection that goes on by itself.
func (d *dev) collectAll(ctx context.Context, graceMillis int64) (objects, bytes int64, err error) {
	report, err := d.collector.Collect(ctx, nil, graceMillis)
	return report.Deleted, report.Bytes, err
}

func (d *dev) compactionOptions() coordinator.CompactionOptions {
	return coordinator.CompactionOptions{
		MaxSlots: d.config.CompactionSlots, RecentEvery: d.config.RecentInterval, HistoricalEvery: d.config.HistoricalInterval,
		RetentionEvery: d.config.RetentionInterval, CollectEvery: d.config.CollectInterval, CollectGrace: d.config.CollectGrace,
	}
}
