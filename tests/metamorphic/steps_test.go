package metamorphic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"drumlin/catalog"
	"drumlin/compaction"
	"drumlin/consumer"
	"drumlin/segment"
	"drumlin/spec"
)

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
	{"narrow", 4, (*world).narrowStep},
	{"race", 3, (*world).raceStep},
	{"steal", 2, (*world).stealStep},
	{"tail", 4, (*world).tailStep},
	{"discard", 3, (*world).discardStep},
	{"retention", 1, (*world).retentionStep},
	{"dedup floor", 3, (*world).dedupFloorStep},
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
	_, err = n.worker.Run(w.ctx, task, compaction.RunOptions{Claims: n.session})
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

// narrowStep asks for a narrower plan, with rows at hand that it has not seen.
func (w *world) narrowStep(r *rand.Rand) (string, error) {
	t := w.tables[pick(r, 0, 0, 1, 2, 2, 3)]
	for _, key := range w.keys() {
		if key.Supervisor == t.name && r.IntN(4) > 0 {
			if err := w.handoff(key); err != nil {
				return "", err
			}
		}
	}
	more := narrower(r, t)
	text := compactText(t, someInterval(r), more)
	return text, w.run(w.node(r), text)
}

// narrower makes the fields of a task that narrow a plan; some of them are refused.
func narrower(r *rand.Rand, t *table) string {
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
	return more
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
	t, n := w.tables[pick(r, 0, 2)], w.node(r)
	whole := compactText(t, interval(firstMillis, firstMillis+dayMillis), "")
	if err := w.run(n, whole); err != nil { // so that there are identities to forget
		return whole, err
	}
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
	text := fmt.Sprintf("%s below %s", t.name, iso(max(at, floor)))
	if err := w.run(n, whole); err != nil {
		return text, err
	}
	_, err := n.worker.Drop(w.ctx, t.name, n.session)
	return text, err
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
