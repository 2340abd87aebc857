package coordinator

import "time"

// CompactionOptions are the limits and the rhythm of tasks, policies, retention and collection. Zero values mean the
// defaults. Every node of a cluster should have the same.
type CompactionOptions struct {
	MaxSlots  int // tasks that run at a time in the whole cluster. Default 2
	NodeSlots int // in this process. Default: MaxSlots

	RetryPause    time.Duration // before the second attempt; it doubles, and has jitter. Default 5 s
	MaxRetryPause time.Duration // Default 10 min
	MaxBusyPause  time.Duration // longest wait for chunks that others work on. Default 30 s
	ProgressEvery time.Duration // how often a running task writes its progress, if any. Default 3 s
	FinishTimeout time.Duration // for writing down how an attempt ended. Default 15 s

	RecentEvery     time.Duration // how often the policy recent looks. Default 30 s
	HistoricalEvery time.Duration // how often the policy historical looks. Default 10 min
	RetentionEvery  time.Duration // how often rules and horizons are looked at. Default 1 min
	CollectEvery    time.Duration // how often objects that nothing shows are looked for. Default 5 min
	CollectGrace    time.Duration // how long what was replaced stays for readers of older views. Default 10 min
	PruneEvery      time.Duration // how often ended tasks are forgotten. Default 1 min

	KeepUserTasks      int // ended tasks of people that are kept, per datasource. Default 1,000
	KeepAutomaticTasks int // of each policy, per datasource. Default 100
}

func (o *CompactionOptions) setDefaults() {
	for _, n := range []struct {
		field     *int
		otherwise int
	}{
		{&o.MaxSlots, 2}, {&o.KeepUserTasks, 1000}, {&o.KeepAutomaticTasks, 100},
	} {
		if *n.field == 0 {
			*n.field = n.otherwise
		}
	}
	if o.NodeSlots == 0 {
		o.NodeSlots = o.MaxSlots
	}
	for _, d := range []struct {
		field     *time.Duration
		otherwise time.Duration
	}{
		{&o.RetryPause, 5 * time.Second},
		{&o.MaxRetryPause, 10 * time.Minute},
		{&o.MaxBusyPause, 30 * time.Second},
		{&o.ProgressEvery, 3 * time.Second},
		{&o.FinishTimeout, 15 * time.Second},
		{&o.RecentEvery, 30 * time.Second},
		{&o.HistoricalEvery, 10 * time.Minute},
		{&o.RetentionEvery, time.Minute},
		{&o.CollectEvery, 5 * time.Minute},
		{&o.CollectGrace, 10 * time.Minute},
		{&o.PruneEvery, time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.otherwise
		}
	}
}
