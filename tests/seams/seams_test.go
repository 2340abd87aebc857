package seams

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func specText(version int) string {
	dimensions := "id, {name: n, type: long}"
	if version > 0 {
		dimensions += ", x"
	}
	return fmt.Sprintf(`
type: kafka
spec:
  dataSchema: {dataSource: events, timestampSpec: {column: ts, format: millis}, dedupSpec: {key: id},
    dimensionsSpec: {dimensions: [%s]},
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}}
  ioConfig: {topic: events, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {type: kafka, maxRowsInMemory: %d}
`, dimensions, 40+10*version)
}

const sumsText = `
type: kafka
spec:
  dataSchema: {dataSource: sums, timestampSpec: {column: ts, format: millis}, dedupSpec: {key: id},
    dimensionsSpec: {dimensions: [k]}, metricsSpec: [{type: count, name: cnt}, {type: longSum, name: m, fieldName: m}],
    granularitySpec: {segmentGranularity: hour, queryGranularity: hour, rollup: true}}
  ioConfig: {topic: events, inputFormat: {type: json}, useEarliestOffset: true}
  tuningConfig: {type: kafka, maxRowsInMemory: 100}
`

func seedOf(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("DRUMLIN_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("DRUMLIN_SEED=%d", seed)
	return seed
}

// TestAnswersStandWhereverTheSeamsRun: nodes come, go, die, are cut off from the catalog longer than a lease lasts, and are
// answered late or never; specs change. Whatever two other nodes answer meanwhile is what the log says at the answer's cut, and
// in the end all of it is there and committed.
func TestAnswersStandWhereverTheSeamsRun(t *testing.T) {
	seed, runs := seedOf(t), 6*time.Second
	if long, err := time.ParseDuration(os.Getenv("DRUMLIN_SEAMS")); err == nil {
		runs = long
	}
	w := newWorld(t, seed)
	first := w.start()
	w.start()
	if _, _, err := first.cluster.Submit(t.Context(), []byte(specText(0))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := first.cluster.Submit(t.Context(), []byte(sumsText)); err != nil {
		t.Fatal(err)
	}
	askers := []*asker{w.asker("q1"), w.asker("q2")}
	var answers, refusals atomic.Int64
	var asking sync.WaitGroup
	stop := make(chan struct{})
	for i, a := range askers {
		asking.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(10+i)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				contexts := []map[string]any{nil, nil, {"cut": "committed"}, {"allowPartial": true, "hotTimeout": 100}}
				if _, ok := a.ask(t, w.ledger, questions(random), contexts[random.IntN(len(contexts))]); ok {
					answers.Add(1)
				} else {
					refusals.Add(1)
				}
			}
		})
	}
	versions := 0
	end := time.Now().Add(runs)
	// A busy machine gets more time, until something was tried.
	for time.Now().Before(end) || answers.Load() < 3 && time.Now().Before(end.Add(patience)) {
		if t.Failed() {
			break
		}
		w.ledger.produce(t, 20+w.random.IntN(60))
		w.disturb(askers, &versions)
		time.Sleep(time.Duration(w.random.IntN(300)) * time.Millisecond) // how long this weather lasts
	}
	close(stop)
	asking.Wait()
	w.settle(askers)
	t.Logf("%d answers, %d refusals, %d nodes, %d versions, %d tasks, %d objects collected",
		answers.Load(), refusals.Load(), w.made, versions, w.tasks, w.collected.Load())
	if answers.Load() < 3 && !t.Failed() {
		t.Error("hardly anything was answered: nothing was tried")
	}
	for _, n := range w.nodes {
		w.end(n, false)
	}
	for _, a := range askers {
		a.close(t)
	}
}

// disturb changes one thing.
func (w *world) disturb(askers []*asker, versions *int) {
	w.t.Helper()
	n := w.pick()
	switch w.random.IntN(18) {
	case 0:
		w.end(n, true)
		w.start()
	case 1:
		w.end(n, false)
		w.start()
	case 2:
		if len(w.nodes) < 4 {
			w.start()
		}
	case 3:
		if len(w.nodes) > 2 {
			w.end(n, w.random.IntN(2) == 0)
		}
	case 4: // longer than its lease lasts: it goes on reading, and its hot rows can still be asked for
		n.weather.set(true, 0)
		time.Sleep(leaseTTL + leaseTTL/2)
		w.ledger.produce(w.t, 20)
		n.weather.set(false, 0)
	case 5, 6:
		for _, n := range w.nodes {
			n.weather.set(false, []float64{0, 0.2, 0.5}[w.random.IntN(3)])
		}
	case 7, 14, 15, 16, 17: // it goes on with the view that it has
		a := askers[w.random.IntN(len(askers))]
		down, _ := a.weather.down()
		a.weather.set(!down, 0)
	case 8:
		for _, n := range w.nodes {
			if down, _ := n.weather.down(); !down {
				if _, _, err := n.cluster.Submit(w.t.Context(), []byte(specText(*versions+1))); err == nil {
					*versions++
				}
				return
			}
		}
	case 9:
		n.weather.set(false, 0)
	default:
		text := fmt.Sprintf(`{"type":"compact","dataSource":%q,"ioConfig":{"type":"compact","inputSpec":{"type":"interval",`+
			`"interval":"2026-01-01T00/2026-01-01T%02d"}},"tuningConfig":{"maxRetry":40}}`, []string{topic, sums}[w.random.IntN(2)], 1+w.random.IntN(hours))
		if down, _ := n.weather.down(); !down {
			if _, _, err := n.cluster.SubmitTask(w.t.Context(), []byte(text)); err == nil {
				w.tasks++
			}
		}
	}
}

// pick chooses a node.
func (w *world) pick() *node {
	ids := []string{}
	for id := range w.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return w.nodes[ids[w.random.IntN(len(ids))]]
}

// settle ends all faults, and waits until everything can be asked for, hot and committed.
func (w *world) settle(askers []*asker) {
	w.t.Helper()
	for _, n := range w.nodes {
		n.weather.set(false, 0)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for _, a := range askers {
		a.weather.set(false, 0)
	}
	wait := func(what string, context map[string]any) {
		w.t.Helper()
		for deadline := time.Now().Add(patience); ; {
			done := 0
			for _, a := range askers {
				if cut, ok := a.ask(w.t, w.ledger, questions(random), context); ok && w.ledger.whole(cut) {
					done++
				}
			}
			if done == len(askers) || w.t.Failed() {
				return
			}
			if time.Now().After(deadline) {
				for _, n := range w.nodes {
					w.t.Logf("%s is ready: %v", n.id, n.cluster.Ready(w.t.Context()))
				}
				w.t.Fatalf("waited for %s", what)
			}
		}
	}
	wait("everything to be hot or committed", nil)
	for _, id := range []string{topic, sums} {
		if err := w.pick().cluster.Handoff(w.t.Context(), id, nil); err != nil {
			w.t.Fatalf("hand off: %v", err)
		}
	}
	wait("everything to be committed", map[string]any{"cut": "committed"})
}
