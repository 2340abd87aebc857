package model

import (
	"fmt"
	"math/rand/v2"
)

// stats count what a run did, so that a test can tell an idle run.
type stats struct {
	answers, commits, hot, lost, fenced, refused, replanned, rebased int

	coarse, vectors, expired, collected, rebuilds int

	swaps [drop + 1]int
}

func (a *stats) add(b *stats) {
	for _, p := range []struct{ to, from *int }{
		{&a.answers, &b.answers},
		{&a.commits, &b.commits},
		{&a.hot, &b.hot},
		{&a.lost, &b.lost},
		{&a.fenced, &b.fenced},
		{&a.refused, &b.refused},
		{&a.replanned, &b.replanned},
		{&a.rebased, &b.rebased},
		{&a.coarse, &b.coarse},
		{&a.vectors, &b.vectors},
		{&a.expired, &b.expired},
		{&a.collected, &b.collected},
		{&a.rebuilds, &b.rebuilds},
	} {
		*p.to += *p.from
	}
	for i := range a.swaps {
		a.swaps[i] += b.swaps[i]
	}
}

// sim is one run: a world, and what every process remembers. One step at a time is taken, drawn from the seed.
type sim struct {
	seed    uint64
	off     Guard // the guard that is switched off; "": none
	cfg     config
	rng     *rand.Rand
	step    int
	serial  int
	verbose bool
	log     []string
	failure string
	stats   stats

	kafka      *kafka
	st         *store
	objects    map[string]*object
	mirror     mirror
	plans      []plan // by number, from 1
	owners     []*owner
	compactors []*compactor
	queriers   []*querier
	pinned     map[int]*view
	doomed     []string
	oldRefs    *references
	wantReset  map[int]bool
	oracle     *oracle
}

// mirror is what the object store keeps of specs and floors.
type mirror struct {
	floors floors
	spec   int
}

func (s *sim) on(g Guard) bool { return s.off != g }

func (s *sim) logf(format string, args ...any) {
	if s.verbose {
		s.log = append(s.log, fmt.Sprintf("%4d ", s.step)+fmt.Sprintf(format, args...))
	}
}

// failf records the first violation.
func (s *sim) failf(format string, args ...any) {
	if s.failure == "" {
		s.failure = fmt.Sprintf("step %d: ", s.step) + fmt.Sprintf(format, args...)
	}
}

// run takes all steps of one seed, or those up to the first violation. tweak adjusts the drawn configuration.
func run(seed uint64, off Guard, tweak func(*config), verbose bool) *sim {
	s := &sim{
		seed: seed, off: off, rng: rand.New(rand.NewPCG(seed, 0x6d6f64656c)), verbose: verbose,
		objects: map[string]*object{}, pinned: map[int]*view{}, wantReset: map[int]bool{},
		plans: []plan{{}, {gran: 1, keep: [2]bool{true, true}}}, mirror: mirror{spec: 1},
	}
	s.cfg = swarm(s.rng)
	if tweak != nil {
		tweak(&s.cfg)
	}
	s.kafka, s.st = newKafka(s.cfg.parts), newStore(1)
	s.oracle = newOracle(s)
	s.processes()
	for s.step = 0; s.step < s.cfg.steps && s.failure == ""; s.step++ {
		s.one()
		if s.oracle.moved != "" {
			s.failf("%s", s.oracle.moved)
		}
	}
	if s.failure == "" {
		s.checkCold("at the end")
	}
	return s
}

// processes starts every process anew, without memory.
func (s *sim) processes() {
	s.owners, s.compactors, s.queriers = nil, nil, nil
	for p := range s.cfg.parts {
		for n := range s.cfg.nodes {
			s.owners = append(s.owners, &owner{node: n, part: p})
		}
	}
	for i := range s.cfg.compactors {
		s.compactors = append(s.compactors, &compactor{id: i})
	}
	for range 2 {
		s.queriers = append(s.queriers, &querier{})
	}
	s.pinned, s.doomed, s.oldRefs = map[int]*view{}, nil, nil
}

// one takes one step.
func (s *sim) one() {
	w := &s.cfg.weights
	steps := []struct {
		weight int
		do     func()
	}{
		{w.produce, s.stepProduce},
		{w.own, s.stepOwner},
		{w.expireOwner, s.stepExpireOwner},
		{w.crashNode, s.stepCrashNode},
		{w.pause, s.stepPause},
		{w.compact, s.stepCompactor},
		{w.expireClaim, s.stepExpireClaim},
		{w.crashCompactor, s.stepCrashCompactor},
		{w.watch, s.stepWatch},
		{w.query, s.stepQuery},
		{w.pin, s.stepPin},
		{w.collect, s.stepCollect},
		{w.reap, s.stepReap},
		{w.retention, s.stepRetention},
		{w.dedupFloor, s.stepDedupFloor},
		{w.spec, s.stepSpec},
		{w.reset, s.stepReset},
		{w.topic, s.stepTopic},
		{w.rebuild, s.stepRebuild},
	}
	total := 0
	for _, st := range steps {
		total += st.weight
	}
	n := s.rng.IntN(total)
	for _, st := range steps {
		if n -= st.weight; n < 0 {
			st.do()
			return
		}
	}
}
