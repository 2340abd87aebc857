package metamorphic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/consumer"
	"drumlin/segment"
	"drumlin/spec"
)

var errInjected = errors.New("the test's failpoint")

// step is one thing that happens to the world.
type step struct {
	name   string
	weight int
	run    func(w *world, r *rand.Rand) (string, error)
}

var allSteps = []step{
	{"reveal", 2, (*world).revealStep},
	{"handoff", 5, (*world).handoffStep},
	{"compact", 6, (*world).compactStep},
	{"narrow", 3, (*world).narrowStep},
	{"race", 3, (*world).raceStep},
	{"steal", 2, (*world).stealStep},
	{"tail", 3, (*world).tailStep},
	{"discard", 1, (*world).discardStep},
	{"retention", 1, (*world).retentionStep},
	{"dedup floor", 2, (*world).dedupFloorStep},
	{"collect", 3, (*world).collectStep},
	{"crash", 2, (*world).crashStep},
	{"zombie", 1, (*world).zombieStep},
	{"fault", 4, (*world).faultStep},
	{"spec", 3, (*world).specStep},
	{"new partition", 1, (*world).partitionStep},
}

// chooser gives steps. Each world has its own weights, so that some do a few things often.
func chooser(r *rand.Rand) func() step {
	steps := slices.Clone(allSteps)
	sum := 0
	for i := range steps {
		steps[i].weight *= pick(r, 0, 1, 2, 4)
		sum += steps[i].weight
	}
	if sum == 0 {
		return chooser(r)
	}
	return func() step {
		n := r.IntN(sum)
		for _, s := range steps {
			if n -= s.weight; n < 0 {
				return s
			}
		}
		panic("weights do not add up")
	}
}

func (w *world) table(r *rand.Rand) *table { return w.tables[r.IntN(len(w.tables))] }

func (w *world) node(r *rand.Rand) *compactNode { return w.compactors[r.IntN(len(w.compactors))] }

func (w *world) revealStep(r *rand.Rand) (string, error) { return w.revealSome(r, 14) }

func (w *world) revealSome(r *rand.Rand, most int64) (string, error) {
	text := ""
	for _, at := range w.log.places[:w.open] {
		text += fmt.Sprintf(" %s/%d→%d", at.topic, at.partition, w.broker.reveal(at, r.Int64N(most+1)))
	}
	return text, w.settle(nil)
}

// handoffStep commits what some partitions hold.
func (w *world) handoffStep(r *rand.Rand) (string, error) {
	text, err := w.revealSome(r, 8)
	if err != nil {
		return text, err
	}
	for _, key := range w.keys() {
		if r.IntN(3) == 0 {
			continue
		}
		text += fmt.Sprintf(" %s:%s/%d", key.Supervisor, key.Topic, key.Partition)
		if err := w.handoff(key); err != nil {
			return text, err
		}
	}
	return text, w.settle(nil)
}

func (w *world) handoff(key catalog.PartitionKey) error {
	end, _ := w.broker.end(place{key.Topic, key.Partition})
	_, err := w.manager.Handoff(w.ctx, key, end)
	return err
}

func iso(millis int64) string { return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z") }

func interval(from, to int64) string { return iso(from) + "/" + iso(to) }

// someInterval is an hour, a day, or all of time.
func someInterval(r *rand.Rand) string {
	switch r.IntN(3) {
	case 0:
		at := firstMillis + pick(r, logHours...)*hourMillis
		return interval(at, at+hourMillis)
	case 1:
		return someDay(r)
	}
	return interval(firstMillis, firstMillis+2*dayMillis)
}

func someDay(r *rand.Rand) string {
	day := firstMillis + r.Int64N(2)*dayMillis
	return interval(day, day+dayMillis)
}

func compactText(t *table, interval, more string) string {
	return fmt.Sprintf(`{"type":"compact","dataSource":%q,"interval":%q%s}`, t.name, interval, more)
}

const (
	dayMore     = `,"granularitySpec":{"segmentGranularity":"DAY"}`
	smallMore   = `,"tuningConfig":{"type":"index","maxRowsPerSegment":7}`
	rangeMore   = `,"tuningConfig":{"type":"index_parallel","partitionsSpec":{"type":"range","partitionDimensions":["page"],"targetRowsPerSegment":9}}`
	recentMore  = `,"context":{"policy":"recent"}`
	historyMore = `,"context":{"policy":"historical"}`
)

func (w *world) compactStep(r *rand.Rand) (string, error) {
	t := w.table(r)
	text := compactText(t, someInterval(r), pick(r, "", "", smallMore, rangeMore, recentMore, historyMore))
	if r.IntN(4) == 0 {
		text = compactText(t, someDay(r), dayMore)
	}
	return text, w.run(w.node(r), text)
}

// run carries a task out. That it is refused is an outcome; that it fails is not.
func (w *world) run(n *compactNode, text string) error {
	task, _, err := spec.ParseTask([]byte(text))
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	_, err = n.worker.Run(w.ctx, task, compaction.RunOptions{Claims: n.session, Node: n.id})
	var plan *compaction.PlanError
	var busy *compaction.Busy
	switch {
	case errors.As(err, &plan):
		w.activity.Refused++
		return nil
	case errors.As(err, &busy):
		return nil
	}
	return err
}

// narrowStep asks for a narrower plan.
func (w *world) narrowStep(r *rand.Rand) (string, error) {
	t := w.table(r)
	var more string
	if r.IntN(2) == 0 {
		more += fmt.Sprintf(`,"granularitySpec":{"queryGranularity":%q}`, pick(r, "ten_minute", "hour"))
	} else if r.IntN(4) == 0 {
		more += `,"granularitySpec":{"segmentGranularity":"DAY","queryGranularity":"DAY"}`
	}
	switch r.IntN(4) {
	case 0:
		more += `,"dimensionsSpec":{"dimensions":["page",{"type":"double","name":"kind"}]}`
	case 1:
		more += `,"dimensionsSpec":{"dimensionExclusions":["country"]}`
	}
	if t.rollup && r.IntN(3) == 0 {
		more += `,"metricsSpec":[{"type":"count","name":"cnt"},{"type":"longSum","name":"n_sum","fieldName":"n"},{"type":"doubleSum","name":"price_sum","fieldName":"price"}]`
	}
	switch r.IntN(5) {
	case 0:
		more += `,"transformSpec":{"filter":{"type":"not","field":{"type":"selector","dimension":"page","value":"p2"}}}`
	case 1:
		more += `,"transformSpec":{"filter":{"type":"in","dimension":"page","values":["p1","p3",null]}}`
	case 2:
		more += `,"transformSpec":{"filter":{"type":"bound","dimension":"kind","lower":"0","ordering":"numeric"}}`
	case 3:
		more += fmt.Sprintf(`,"transformSpec":{"filter":{"type":"or","fields":[{"type":"bound","dimension":"__time","lower":"%d","ordering":"numeric"},{"type":"selector","dimension":"page","value":"p1"}]}}`,
			firstMillis+pick(r, logHours...)*hourMillis)
	}
	text := compactText(t, someInterval(r), more)
	return text, w.run(w.node(r), text)
}

// raceStep compacts the same hours at once: hours, a day of them, handoffs, and a collection,
// and asks meanwhile.
func (w *world) raceStep(r *rand.Rand) (string, error) {
	t := w.table(r)
	day := someDay(r)
	texts := []string{compactText(t, day, pick(r, "", recentMore)), compactText(t, day, pick(r, dayMore, ""))}
	if _, err := w.revealSome(r, 6); err != nil {
		return "", err
	}
	errs := make([]error, len(texts)+3)
	asking := rand.New(rand.NewPCG(r.Uint64(), 1))
	var both sync.WaitGroup
	for i, text := range texts {
		n := w.compactors[i]
		task, _, err := spec.ParseTask([]byte(text))
		if err != nil {
			return text, err
		}
		both.Go(func() {
			_, err := n.worker.Run(w.ctx, task, compaction.RunOptions{Claims: n.session, Node: n.id})
			var plan *compaction.PlanError
			var busy *compaction.Busy
			if !errors.As(err, &plan) && !errors.As(err, &busy) {
				errs[i] = err
			}
		})
	}
	both.Go(func() {
		for _, key := range w.keys() {
			if key.Supervisor == t.name && errs[len(texts)] == nil {
				errs[len(texts)] = w.handoff(key)
			}
		}
	})
	if r.IntN(2) == 0 {
		both.Go(func() { _, errs[len(texts)+1] = w.collector.Collect(w.ctx, nil, 0) })
	}
	both.Go(func() {
		for range 4 {
			errs[len(texts)+2] = errors.Join(errs[len(texts)+2], w.check(asking, t))
		}
	})
	both.Wait()
	return fmt.Sprint(texts), errors.Join(append(errs, w.settle(nil))...)
}

// stealStep takes a compactor's claim away between its work and its swap, and has another one do the same.
func (w *world) stealStep(r *rand.Rand) (string, error) {
	t := w.table(r)
	text := compactText(t, someInterval(r), pick(r, "", smallMore))
	a, b := w.compactors[0], w.compactors[1]
	stale := b.session
	var stolen error
	b.fail.Arm("catalog.swap.before_txn", 1, func(string) error {
		w.activity.Steals++
		b.session, stolen = a.cat.Register(w.ctx, catalog.Node{ID: b.id}, time.Hour)
		if stolen == nil {
			stolen = w.run(a, text)
		}
		return nil
	})
	err := w.run(b, text)
	b.fail.Arm("catalog.swap.before_txn", 1, func(string) error { return nil })
	if b.session != stale {
		if errors.Is(err, catalog.ErrSessionLost) {
			err = nil
		}
		err = errors.Join(err, stale.Close(w.ctx))
	}
	return text, errors.Join(err, stolen)
}

// tailStep merges some tail segments of a bucket, or adopts what there is: work of the recent policy that small chunks do
// not lead to.
func (w *world) tailStep(r *rand.Rand) (string, error) {
	n, t := w.node(r), w.table(r)
	view, err := n.cat.Refresh(w.ctx)
	if err != nil {
		return "", err
	}
	ds := view.Datasources[t.name]
	var some []*catalog.BucketView
	for _, b := range ds.Buckets {
		if !b.Dropped() && len(b.Commits) > 0 {
			some = append(some, b)
		}
	}
	if len(some) == 0 {
		return "nothing", nil
	}
	b := some[r.IntN(len(some))]
	request := catalog.SwapRequest{Base: view, Datasource: t.name, Buckets: b.Members, State: catalog.HeadRaw}
	if b.Head != nil {
		request.State, request.Plan = b.Head.State, b.Head.Plan
		if b.Manifest.Plan > 0 {
			request.PlanSpec = b.Manifest.PlanSpec
		}
	}
	request.Claim, err = n.session.ClaimBuckets(w.ctx, t.name, b.Members)
	if err != nil {
		return "", err
	}
	tail := slices.Clone(b.Tail)
	folded := r.IntN(2) == 0
	tail = slices.DeleteFunc(tail, func(s catalog.TailSegment) bool { return s.Folded != folded })
	r.Shuffle(len(tail), func(i, j int) { tail[i], tail[j] = tail[j], tail[i] })
	what := "adopted"
	if len(tail) > 1 {
		w.activity.TailMerges++
		tail = tail[:2+r.IntN(len(tail)-1)]
		what = fmt.Sprintf("merged %d of the tail", len(tail))
		if err := w.mergeTail(n, ds, b, tail, &request); err != nil {
			return what, err
		}
	}
	res, err := n.cat.Swap(w.ctx, request)
	if err == nil && res.Outcome != catalog.SwapDone {
		err = fmt.Errorf("nobody else is there, and yet the swap was %s", res.Outcome)
	}
	return fmt.Sprintf("%s %s %s", t.name, iso(b.Bucket.StartMillis), what), errors.Join(err, n.session.Unclaim(w.ctx, request.Claim))
}

func (w *world) mergeTail(n *compactNode, ds *catalog.DatasourceView, b *catalog.BucketView, tail []catalog.TailSegment,
	request *catalog.SwapRequest,
) error {
	definition, err := definitionOf(b.PlanSpec)
	if err != nil {
		return err
	}
	out, err := n.executor.Run(w.ctx, &compaction.Job{
		Datasource: ds.Name, Schema: ds.Schema, Schemas: ds.Schemas, Mode: compaction.ModeTail, Buckets: b.Members, State: request.State,
		Definition: definition, Plan: request.Plan, PlanSpec: request.PlanSpec, Tail: tail,
	}, compaction.Naming{Incarnation: n.cat.Incarnation(), Epoch: request.Claim.Epoch}, nil)
	if err != nil {
		return err
	}
	request.Consumed, request.Adopted = out.Consumed, out.Adopted
	request.Duplicates, request.Filtered = out.Stats.Duplicates, out.Stats.Filtered
	return nil
}

// discardStep marks a whole chunk unused.
func (w *world) discardStep(r *rand.Rand) (string, error) {
	n, t := w.node(r), w.table(r)
	view, err := n.cat.Refresh(w.ctx)
	if err != nil {
		return "", err
	}
	buckets := view.Datasources[t.name].Buckets
	if len(buckets) == 0 {
		return "nothing", nil
	}
	b := buckets[r.IntN(len(buckets))].Bucket
	text := fmt.Sprintf(`{"type":"markUnused","dataSource":%q,"interval":%q}`, t.name, interval(b.StartMillis, b.EndMillis))
	w.kv.discarding(true)
	defer w.kv.discarding(false)
	return text, w.run(n, text)
}

// aim gives partitions the newest spec and floors, and waits until they are in force.
func (w *world) aim(t *table, choose func() bool) error {
	view, err := w.cat.Refresh(w.ctx)
	if err != nil {
		return err
	}
	ds, sup := view.Datasources[t.name], view.Supervisors[t.name].Supervisor
	want := segment.Facts{
		SpecVersion: sup.Version, RetentionFloorMillis: ds.RetentionFloorMillis, DedupFloorMillis: ds.DedupFloorMillis,
	}
	for _, key := range w.keys() {
		if key.Supervisor != t.name || !choose() {
			continue
		}
		if err := w.manager.Update(w.ctx, sup, key); err != nil {
			return err
		}
		if err := w.wait(key, func(s consumer.PartitionStatus) bool { return s.Facts == want }); err != nil {
			return err
		}
	}
	return w.settle(nil)
}

func always() bool { return true }

func (w *world) retentionStep(r *rand.Rand) (string, error) {
	t := w.table(r)
	floor := w.cat.View().Datasources[t.name].RetentionFloorMillis
	at := firstMillis + (1+r.Int64N(2))*hourMillis
	if r.IntN(6) == 0 {
		at = firstMillis + dayMillis
	}
	if at > floor {
		if _, err := w.cat.RaiseFloors(w.ctx, t.name, catalog.Floors{RetentionMillis: at}); err != nil {
			return "", err
		}
	}
	if r.IntN(3) > 0 {
		if err := w.aim(t, always); err != nil {
			return "", err
		}
	}
	n := w.node(r)
	dropped, err := n.worker.Drop(w.ctx, t.name, n.session)
	return fmt.Sprintf("%s below %s: %d dropped", t.name, iso(max(at, floor)), dropped), err
}

func (w *world) dedupFloorStep(r *rand.Rand) (string, error) {
	t := w.tables[pick(r, 0, 2)]
	floor := w.cat.View().Datasources[t.name].DedupFloorMillis
	at := firstMillis + (1+r.Int64N(4))*hourMillis
	if at > floor {
		if _, err := w.cat.RaiseFloors(w.ctx, t.name, catalog.Floors{DedupMillis: at}); err != nil {
			return "", err
		}
	}
	if err := w.aim(t, func() bool { return r.IntN(8) > 0 }); err != nil {
		return "", err
	}
	n := w.node(r)
	text := fmt.Sprintf("%s below %s", t.name, iso(max(at, floor)))
	if err := w.run(n, compactText(t, interval(firstMillis, firstMillis+dayMillis), "")); err != nil {
		return text, err
	}
	_, err := n.worker.Drop(w.ctx, t.name, n.session)
	return text, err
}

// collectStep deletes what is dead, twice: what the first leaves for the second is gone then.
func (w *world) collectStep(*rand.Rand) (string, error) {
	text := ""
	for range 2 {
		report, err := w.collector.Collect(w.ctx, nil, 0)
		if err != nil {
			return "", err
		}
		w.activity.Deleted += int(report.Deleted)
		text += fmt.Sprintf(" %d deleted, %d commits reaped;", report.Deleted, report.Reaped)
	}
	return text, w.checkDead()
}

func (w *world) crashStep(r *rand.Rand) (string, error) {
	if err := w.crash(); err != nil {
		return "", err
	}
	w.activity.Restarts++
	if err := w.start(r); err != nil {
		return "", err
	}
	return "cache " + w.cacheDir[len(w.dir):], w.mend()
}

// zombieStep takes the ingesting process its ownership away while it still has rows to hand off.
func (w *world) zombieStep(r *rand.Rand) (string, error) {
	text, err := w.revealSome(r, 6)
	if err != nil {
		return text, err
	}
	stale := w.session
	if w.session, err = w.compactors[0].cat.Register(w.ctx, catalog.Node{ID: "ingest"}, time.Hour); err != nil {
		return text, err
	}
	for _, key := range w.keys() {
		if err := w.handoff(key); err != nil {
			w.activity.Fenced++
		}
		if err := w.manager.Stop(w.ctx, key, false); err != nil && !errors.Is(err, consumer.ErrNotRunning) {
			return text, err
		}
	}
	if err := stale.Close(w.ctx); err != nil {
		return text, err
	}
	return text, w.mend()
}

// faultStep lets one thing go wrong in the midst of a handoff or a compaction.
func (w *world) faultStep(r *rand.Rand) (string, error) {
	if r.IntN(2) == 0 {
		return w.handoffFault(r)
	}
	n, t := w.node(r), w.table(r)
	text := compactText(t, someInterval(r), pick(r, "", dayMore))
	point := pick(r, "compact.before_upload", "compact.after_upload", "catalog.swap.before_txn", "catalog.swap.after_txn", "")
	if point == "" {
		w.kv.loseReplies(1 + r.IntN(5))
		w.activity.LostReplies++
	} else {
		n.fail.Arm(point, 1+r.IntN(2), func(string) error { return errInjected })
	}
	task, _, err := spec.ParseTask([]byte(text))
	if err != nil {
		return text, err
	}
	// Whatever comes of it: the answers tell.
	if _, err := n.worker.Run(w.ctx, task, compaction.RunOptions{Claims: n.session, Node: n.id}); err != nil {
		text += ": " + err.Error()
	}
	if point != "" {
		n.fail.Arm(point, 1, func(string) error { return nil })
	}
	w.kv.loseReplies(0)
	return point + " " + text, nil
}

func (w *world) handoffFault(r *rand.Rand) (string, error) {
	text, err := w.revealSome(r, 6)
	if err != nil {
		return text, err
	}
	keys := w.keys()
	key := keys[r.IntN(len(keys))]
	point := pick(r, "handoff.after_upload", "handoff.after_commit", "catalog.append.before_txn", "catalog.append.after_txn", "")
	if point == "" {
		w.kv.loseReplies(1 + r.IntN(5))
		w.activity.LostReplies++
	} else {
		w.fail.Arm(point, 1, func(string) error { return errInjected })
	}
	if err := w.handoff(key); err != nil {
		text += ": " + err.Error()
	}
	w.kv.loseReplies(0)
	if point != "" {
		w.fail.Arm(point, 1, func(string) error { return nil })
	}
	// A worker that steps down has let its waiters go before it has ended.
	if s, running := w.manager.Status(key); !running || s.Handoffs > 0 || s.HotRows > 0 {
		if err := w.manager.Stop(w.ctx, key, false); err != nil && !errors.Is(err, consumer.ErrNotRunning) {
			return text, err
		}
		if err := w.session.Release(w.ctx, w.owned[key]); err != nil {
			return text, err
		}
	}
	return fmt.Sprintf("%s of %v%s", point, key, text), w.mend()
}

func (w *world) specStep(r *rand.Rand) (string, error) {
	t := w.table(r)
	next := t.next(r)
	before := w.cat.View().Supervisors[t.name].Version
	if _, _, err := w.cluster.Submit(w.ctx, []byte(t.text(next))); err != nil {
		return t.text(next), err
	}
	if w.cat.View().Supervisors[t.name].Version == before {
		return "nothing new", nil
	}
	t.versions = append(t.versions, next)
	w.activity.SpecChanges++
	return fmt.Sprintf("%s version %d: %+v", t.name, len(t.versions), next), w.aim(t, func() bool { return r.IntN(4) > 0 })
}

func (w *world) partitionStep(*rand.Rand) (string, error) {
	if w.open == len(w.log.places) {
		return "none is left", nil
	}
	w.open++
	return fmt.Sprint(w.log.places[w.open-1]), w.mend()
}
