package model

import "math/rand/v2"

// bucketLen is the length of a bucket in ticks of event time.
const bucketLen = 4

// config is the swarm configuration of one run: what the world looks like, and how often each step is taken.
type config struct {
	rollup       bool // folds, plans and sidecars; otherwise raw rows for ever
	parts        int
	nodes        int
	compactors   int
	buckets      int
	steps        int
	keys         int // dedup keys in use: few, so that copies are frequent
	conflicts    bool
	keylessPct   int
	latePct      int // events older than their Kafka timestamp by more than a little
	startTicks   int // the time at which the run begins
	horizonTicks int // 0: none
	accept       bool
	lostPct      int  // replies that are lost
	startLate    bool // the last partition begins late in the run
	coarsePct    int  // of the merges of raw groups: those that may join their neighbours
	beginWaitPct int  // chance that the beginning of a partition waits between reading and putting
	buildWaitPct int  // chance that a fold or a coarse merge waits between reading and building
	pauseSteps   int  // longest pause of a process
	kinds        []jobKind
	weights      weights
}

// weights say how often each kind of step is taken, relative to each other.
type weights struct {
	produce, own, expireOwner, crashNode, pause int
	compact, expireClaim, crashCompactor        int
	watch, query, pin                           int
	collect, reap                               int
	retention, dedupFloor, spec, reset, topic   int
	rebuild                                     int
}

func defaultConfig() config {
	return config{
		parts: 3, nodes: 2, compactors: 3, buckets: 6, steps: 420, keys: 5, keylessPct: 15, latePct: 40, lostPct: 10,
		pauseSteps: 120, coarsePct: 50, kinds: []jobKind{adoptTail, mergeTail, mergeSettled, settleAll, settleSome, markTail},
		weights: weights{
			produce: 30, own: 70, expireOwner: 3, crashNode: 1, pause: 1, compact: 60, expireClaim: 3, crashCompactor: 1, watch: 6,
			query: 45, pin: 3, collect: 8, reap: 4, retention: 1, dedupFloor: 1, spec: 1, reset: 1, topic: 1, rebuild: 1,
		},
	}
}

// swarm draws a configuration: mechanisms are left out at random, since what is always present hides what is rare.
func swarm(r *rand.Rand) config {
	c := defaultConfig()
	c.rollup = r.IntN(2) == 0
	c.parts = 1 + r.IntN(3)
	c.nodes = 1 + r.IntN(3)
	c.buckets = 3 + r.IntN(4)
	c.keys = 2 + r.IntN(6)
	c.conflicts = r.IntN(2) == 0
	c.keylessPct = r.IntN(3) * 15
	c.latePct = 20 + r.IntN(60)
	if r.IntN(2) == 0 {
		c.horizonTicks = bucketLen * (1 + r.IntN(2))
	}
	c.accept = r.IntN(2) == 0
	c.lostPct = r.IntN(3) * 10
	c.startLate = r.IntN(3) == 0
	c.coarsePct = r.IntN(4) * 20
	c.beginWaitPct, c.buildWaitPct = r.IntN(3)*30, r.IntN(3)*30
	w := &c.weights
	for _, p := range []*int{
		&w.expireOwner, &w.crashNode, &w.pause, &w.expireClaim, &w.crashCompactor, &w.pin, &w.collect, &w.reap, &w.retention,
		&w.dedupFloor, &w.spec, &w.reset, &w.topic, &w.rebuild,
	} {
		*p *= r.IntN(3)
	}
	if r.IntN(2) == 0 { // a world that is made anew again and again never grows old
		w.rebuild = 0
	}
	return c
}
