package model

// The profiles turn the weights towards the races that one guard or another is there for.

func raw(c *config) {
	c.rollup, c.conflicts, c.horizonTicks = false, true, 0
	c.weights.retention, c.weights.topic, c.weights.rebuild = 0, 0, 0
}

// races lets many compactors work on few buckets.
func races(c *config) {
	raw(c)
	c.buckets, c.compactors, c.keys, c.parts, c.nodes = 1, 4, 4, 3, 1
	c.weights.compact, c.weights.expireClaim, c.weights.query, c.weights.reset = 150, 0, 5, 3
	c.weights.dedupFloor, c.weights.produce, c.steps = 0, 60, 500
	c.coarsePct, c.beginWaitPct, c.buildWaitPct = 0, 0, 0
	c.kinds = []jobKind{settleSome, settleSome, mergeSettled, mergeSettled, markTail, adoptTail}
}

// coarse lets coarse and fine merges of few buckets race.
func coarse(c *config) {
	races(c)
	c.buckets, c.coarsePct = 6, 15
	c.kinds = []jobKind{adoptTail, settleAll}
	c.buckets, c.coarsePct, c.buildWaitPct, c.steps, c.latePct, c.keylessPct = 6, 30, 95, 300, 0, 50
	c.startTicks = 4 * bucketLen
	c.weights.reap, c.weights.own, c.weights.query, c.weights.collect, c.weights.produce = 60, 140, 0, 60, 50
}

// wide has commits of many buckets, which are absorbed one by one.
func wide(c *config) {
	coarse(c)
	c.coarsePct, c.latePct, c.keylessPct = 0, 90, 15
	c.weights.reap, c.weights.compact = 20, 40
}

func rollup(c *config) {
	c.rollup, c.buckets = true, min(c.buckets, 3)
	c.weights.retention, c.weights.topic, c.weights.rebuild = 0, 0, 0
	c.weights.compact = 90
}

// plans has many folds of few groups.
func plans(c *config) {
	rollup(c)
	c.buckets, c.keys, c.horizonTicks, c.keylessPct = 2, 8, 0, 15
}

// floorsRise raises the dedup floor often, while late copies come.
func floorsRise(c *config) {
	rollup(c)
	c.parts, c.nodes, c.latePct, c.horizonTicks, c.keys, c.startLate = 2, 1, 90, 0, 3, false
	c.buckets, c.steps, c.buildWaitPct = 3, 500, 85
	c.weights.produce, c.weights.own, c.weights.query, c.weights.spec, c.weights.reset = 30, 130, 20, 0, 0
	c.weights.dedupFloor, c.weights.crashNode, c.weights.expireOwner = 4, 0, 0
}

// lateBegin lets a partition begin while floors rise.
func lateBegin(c *config) {
	floorsRise(c)
	c.startLate, c.beginWaitPct, c.buildWaitPct, c.steps = true, 95, 0, 600
	c.weights.produce, c.weights.dedupFloor, c.weights.query = 20, 6, 10
}

// idle leaves partitions without an owner.
func idle(c *config) {
	floorsRise(c)
	c.buildWaitPct, c.weights.expireOwner = 0, 12
}

// clocks moves owners under a horizon.
func clocks(c *config) {
	c.horizonTicks, c.latePct, c.keylessPct, c.buckets = 4, 90, 30, 5
	c.weights.expireOwner, c.weights.crashNode, c.weights.retention, c.weights.compact = 8, 2, 0, 10
}

// seam asks often, over views that are old, while owners change and facts move.
func seam(c *config) {
	c.keylessPct, c.nodes = 50, 2
	c.weights.query, c.weights.compact, c.weights.retention, c.weights.spec = 120, 15, 0, 4
	c.weights.expireOwner, c.weights.rebuild = 8, 0
}

// losses loses etcd now and then, and collects eagerly.
func losses(c *config) {
	c.weights.rebuild, c.weights.collect, c.weights.reap, c.weights.retention = 2, 30, 15, 0
	c.weights.expireOwner, c.weights.expireClaim, c.weights.query, c.weights.pin = 8, 6, 5, 0
	c.steps = 500
}

// orphans adds owners that lag behind, so that rebuilds meet records that never were committed.
func orphans(c *config) {
	c.parts, c.nodes, c.buckets, c.keylessPct = 1, 4, 3, 40
	c.rollup, c.kinds, c.coarsePct, c.horizonTicks = false, []jobKind{adoptTail}, 0, 0
	c.parts, c.nodes, c.buckets, c.compactors, c.steps, c.pauseSteps = 1, 3, 3, 2, 1000, 400
	c.keylessPct, c.latePct, c.lostPct, c.buildWaitPct, c.startTicks = 100, 90, 0, 0, 2*bucketLen
	c.weights = weights{
		produce: 40, own: 300, expireOwner: 8, pause: 6, compact: 100, collect: 30, reap: 20, spec: 2, rebuild: 2,
	}
}

// resets closes generations while owners lag behind.
func resets(c *config) {
	orphans(c)
	c.weights.reset, c.weights.rebuild, c.weights.own = 6, 1, 350
}
