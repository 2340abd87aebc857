package metamorphic

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shortSeeds = 30
	longSeeds  = 1000
	stepsEach  = 14
)

// TestCompactionDoesNotShow runs one random schedule for each seed. DRUMLIN_TEST_SEED chooses one.
func TestCompactionDoesNotShow(t *testing.T) {
	seeds, only := shortSeeds, uint64(0)
	if os.Getenv("DRUMLIN_TEST_LONG") != "" {
		seeds = longSeeds
	}
	if text := os.Getenv("DRUMLIN_TEST_SEED"); text != "" {
		var err error
		if only, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("DRUMLIN_TEST_SEED: %v", err)
		}
		seeds = 1
	}
	var all activity
	var mu sync.Mutex
	t.Run("seeds", func(t *testing.T) {
		for i := range seeds {
			seed := only
			if only == 0 {
				seed = uint64(i + 1)
			}
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				one := runSeed(t, seed)
				mu.Lock()
				defer mu.Unlock()
				all.add(one)
			})
		}
	})
	t.Logf("%d seeds: %+v", seeds, all)
	if seeds >= shortSeeds {
		all.check(t)
	}
}

func runSeed(t *testing.T, seed uint64) activity {
	r := rand.New(rand.NewPCG(seed, 1))
	choose := chooser(r)
	w, err := newWorld(t, r)
	for i := 0; err == nil && i < stepsEach; i++ {
		s := choose()
		if i < 2 || r.IntN(3) == 0 {
			s = step{name: "handoff", run: (*world).handoffStep}
		}
		var what string
		what, err = s.run(w, r)
		w.steps = append(w.steps, s.name+": "+what)
		if err == nil {
			err = w.checkAfter(r, what)
		}
	}
	if err == nil {
		err = w.finish(r)
	}
	activity := w.count()
	if closed := w.crash(); err == nil {
		err = closed
	}
	if err != nil {
		t.Fatalf("DRUMLIN_TEST_SEED=%d repeats this.\n%s\nfailed: %v", seed, strings.Join(w.steps, "\n"), err)
	}
	w.mem.AssertSize(t, 0)
	return activity
}

// checkAfter asks the tables that a step was about, and two others or the same.
func (w *world) checkAfter(r *rand.Rand, what string) error {
	first, second := w.table(r), w.table(r)
	for _, t := range w.tables {
		if t != first && t != second && !strings.Contains(what, t.name) {
			continue
		}
		if err := w.check(r, t); err != nil {
			return err
		}
	}
	return w.checkStore()
}

func (w *world) checkAll(r *rand.Rand) error {
	for _, t := range w.tables {
		if err := w.check(r, t); err != nil {
			return err
		}
	}
	return w.checkStore()
}

// finish reads the whole log, compacts all of it, and begins anew: nothing is left over, and the answers are the same.
func (w *world) finish(r *rand.Rand) error {
	w.steps = append(w.steps, "the end: everything is read, handed off, compacted, begun anew and collected")
	w.open = len(w.log.places)
	err := w.mend()
	if err == nil {
		_, err = w.revealSome(r, 1<<40)
	}
	for _, key := range w.keys() {
		if err == nil {
			err = w.handoff(key)
		}
	}
	for _, t := range w.tables {
		if err == nil {
			err = w.run(w.compactors[0], compactText(t, interval(firstMillis, firstMillis+2*dayMillis), ""))
		}
	}
	if err == nil {
		err = w.checkAll(r)
	}
	if err == nil {
		_, err = w.crashStep(r)
	}
	if err == nil {
		_, err = w.collectStep(r)
	}
	if err == nil {
		err = w.checkOrphans()
	}
	if err != nil {
		return err
	}
	return w.checkAll(r)
}

// count adds up what the catalog's history tells.
func (w *world) count() activity {
	a := w.activity
	a.Answers = w.answers
	w.kv.mu.Lock()
	defer w.kv.mu.Unlock()
	a.LostSwaps = w.kv.lostSwaps
	seen := map[string]bool{}
	for _, heads := range w.kv.heads {
		for i, h := range heads {
			if seen[h.Manifest] {
				continue
			}
			seen[h.Manifest] = true
			a.countHead(heads, i)
		}
	}
	return a
}

func (a *activity) countHead(heads []*headFact, i int) {
	h := heads[i]
	switch {
	case h.State == "dropped":
		a.Drops++
		return
	case h.discard:
		a.Discards++
	case h.State == "folded":
		a.Folds++
	}
	if h.Plan > 0 && (i == 0 || heads[i-1].Plan != h.Plan) {
		a.Narrowed++
	}
	if len(h.manifest.Buckets) > 1 {
		a.Joined++
	}
	if len(h.manifest.Adopted) > 0 {
		a.Adoptions++
	}
	if i > 0 && len(heads[i-1].manifest.Sidecars) > 0 && len(h.manifest.Sidecars) == 0 {
		a.Forgotten++
	}
}

// check says what has not happened: a test that does nothing proves nothing.
func (a *activity) check(t *testing.T) {
	t.Helper()
	var problems []error
	for name, n := range map[string]int{
		"folds": a.Folds, "late copies": a.LateCopies, "lost swaps": a.LostSwaps, "drops": a.Drops, "discards": a.Discards,
		"deleted objects": a.Deleted, "restarts": a.Restarts, "narrower plans": a.Narrowed, "joined chunks": a.Joined,
		"adoptions": a.Adoptions, "merged tails": a.TailMerges, "forgotten sidecars": a.Forgotten, "fenced handoffs": a.Fenced,
		"lost replies":     a.LostReplies,
		"changes of specs": a.SpecChanges, "stolen claims": a.Steals,
	} {
		if n == 0 {
			problems = append(problems, fmt.Errorf("no %s", name))
		}
	}
	if err := errors.Join(problems...); err != nil {
		t.Errorf("too little has happened:\n%v", err)
	}
}
