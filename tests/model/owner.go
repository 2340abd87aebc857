package model

import "slices"

// An owner is one process's work on one partition. Any number of them may believe that they own it: a pause is an owner
// that takes no step while its lease expires.

// hotItem is a record that was read and is not known to be out of use yet.
type hotItem struct {
	off     int
	outcome outcome
	row     row
	clock   int // after it
}

// pendingCommit is a handoff whose objects have been uploaded.
type pendingCommit struct {
	commit commit
	next   offset
	prev   int // mod_revision of the offset that it replaces
}

type pendingBegin struct{ floors floors }

type owner struct {
	node, part int
	epoch      int // 0: does not believe to be the owner
	loaded     bool
	off        offset // as read, or as last written
	facts      facts  // by which it judges
	clock      int
	read       int // next offset to read
	hwm        int // high watermark when it acquired the partition
	hot        []hotItem
	begin      *pendingBegin
	pend       *pendingCommit
	attempt    int

	pausedUntil int // step
}

// reset forgets everything but who it is.
func (o *owner) reset() { *o = owner{node: o.node, part: o.part} }

// hotBase is the lowest offset from which on it has every record in memory.
func (o *owner) hotBase() int {
	if len(o.hot) == 0 {
		return o.read
	}
	return o.hot[0].off
}

func (s *sim) stepOwner() {
	o := s.owners[s.rng.IntN(len(s.owners))]
	switch {
	case s.step < o.pausedUntil:
	case o.epoch == 0:
		s.acquire(o)
	case !o.loaded && o.begin == nil:
		s.loadOffset(o)
	case !o.loaded && s.pct(s.cfg.beginWaitPct):
	case !o.loaded:
		s.beginPartition(o)
	case o.pend != nil:
		s.commitTxn(o)
	case s.topicChanged(o):
		s.openGeneration(o, s.kafka.served[o.part], 0)
	default:
		s.work(o)
	}
}

func (s *sim) acquire(o *owner) {
	if s.cfg.startLate && o.part == s.cfg.parts-1 && s.step < s.cfg.steps/2 {
		return
	}
	if _, taken := s.st.own[o.part]; taken {
		return
	}
	s.st.rev++
	s.st.own[o.part] = ownKey{node: o.node, create: s.st.rev}
	o.epoch, o.hwm = s.st.rev, len(s.kafka.current(o.part).records)
	s.logf("n%d owns p%d epoch %d", o.node, o.part, o.epoch)
}

func (s *sim) loadOffset(o *owner) {
	off, ok := s.st.off[o.part]
	if !ok {
		o.begin = &pendingBegin{floors: s.st.floors}
		return
	}
	o.off, o.facts, o.clock, o.read, o.loaded = off, off.facts, off.clock, off.next, true
	if !s.on(RecordedClock) {
		o.clock = 0
	}
	if !s.on(RecordedFacts) {
		o.facts.spec = s.st.spec
	}
}

// beginPartition puts the partition's first offset, comparing the floors unchanged.
func (s *sim) beginPartition(o *owner) {
	f := o.begin.floors
	o.begin = nil
	if s.on(BeginComparesFloor) && f.mod != s.st.floors.mod {
		return
	}
	next := offset{log: s.kafka.served[o.part], facts: facts{spec: s.st.spec, retention: f.retention, dedup: f.dedup}}
	if s.putOffset(o, next, recordBegin) {
		o.loaded, o.facts, o.read, o.clock = true, o.off.facts, 0, 0
	}
}

// putOffset puts the offset without a commit. It writes the record first.
func (s *sim) putOffset(o *owner, next offset, kind recordKindOf) bool {
	if s.on(RecordEveryPut) {
		next.record = s.putRecord(o, kind, next, nil)
	}
	if s.st.own[o.part].create != o.epoch || s.st.off[o.part].mod != o.off.mod {
		s.logf("n%d p%d %s refused", o.node, o.part, kind)
		s.stats.fenced++
		s.stepDown(o)
		return false
	}
	s.st.rev++
	next.mod = s.st.rev
	s.st.off[o.part], o.off = next, next
	s.oracle.noteOffset(s.st.stamp(), o.part, next)
	s.logf("n%d p%d %s gen %d next %d facts %+v", o.node, o.part, kind, next.gen, next.next, next.facts)
	return true
}

func (s *sim) stepDown(o *owner) {
	if s.st.own[o.part].create == o.epoch {
		s.st.rev++
		delete(s.st.own, o.part)
	}
	o.reset()
}

func (s *sim) topicChanged(o *owner) bool {
	return s.on(TopicChecked) && o.off.log != s.kafka.served[o.part]
}

// openGeneration opens the next generation: at the beginning of another topic, or earlier in the same one.
func (s *sim) openGeneration(o *owner, log, start int) {
	next := o.off
	next.ends = append(slices.Clip(next.ends), o.off.next)
	next.gen, next.log, next.next, next.clock = o.off.gen+1, log, start, 0
	if s.putOffset(o, next, recordReset) {
		o.hot, o.read, o.clock = nil, start, 0
	}
}

func (s *sim) work(o *owner) {
	want := facts{spec: s.st.spec, retention: s.st.floors.retention, dedup: s.st.floors.dedup}
	log := s.kafka.current(o.part)
	switch n := s.rng.IntN(12); {
	case n < 6 && o.read < len(log.records):
		s.read(o, log.records[o.read])
	case n < 9 && o.read > o.off.next:
		s.upload(o)
	case n == 9:
		for len(o.hot) > 0 && o.hot[0].off < o.off.next {
			o.hot = o.hot[1:]
		}
	case n == 10 && want != o.off.facts && s.mayAdopt(o):
		next := o.off
		next.facts = want
		if s.putOffset(o, next, recordAcknowledge) {
			o.facts = want
		}
	case n == 11 && s.wantReset[o.part]:
		s.wantReset[o.part] = false
		s.openGeneration(o, o.off.log, s.rng.IntN(o.off.next+1))
	}
}

// mayAdopt says whether newer facts may be acknowledged: only at the end of the hot rows, and not before what others
// may have shown has been committed under the old ones.
func (s *sim) mayAdopt(o *owner) bool {
	return (!s.on(AdoptAtEnd) || o.read == o.off.next) && (!s.on(AdoptPastWatermark) || o.off.next >= o.hwm)
}

func (s *sim) read(o *owner, r record) {
	out, row := s.judge(r, o.clock, o.facts)
	row.pos = pos{gen: o.off.gen, part: o.part, off: o.read}
	if o.clock = max(o.clock, r.ts); !s.on(RunningClock) {
		o.clock = r.ts
	}
	o.hot = append(o.hot, hotItem{off: o.read, outcome: out, row: row, clock: o.clock})
	o.read++
}

// stepExpireOwner ends a lease. The owner does not notice.
func (s *sim) stepExpireOwner() {
	p := s.rng.IntN(s.cfg.parts)
	if k, ok := s.st.own[p]; ok {
		s.st.rev++
		delete(s.st.own, p)
		s.logf("lease of p%d (n%d, epoch %d) expires", p, k.node, k.create)
	}
}

// stepPause stops a process for a while. It does not notice.
func (s *sim) stepPause() {
	until := s.step + 20 + s.rng.IntN(s.cfg.pauseSteps)
	if s.pct(30) {
		c := s.compactors[s.rng.IntN(len(s.compactors))]
		c.pausedUntil = until
		s.logf("c%d pauses until %d", c.id, until)
		return
	}
	n := s.rng.IntN(s.cfg.nodes)
	for _, o := range s.owners {
		if o.node == n {
			o.pausedUntil = until
		}
	}
	s.logf("n%d pauses until %d", n, until)
}

// stepCrashNode loses all memory of a process; its leases stay until they expire.
func (s *sim) stepCrashNode() {
	n := s.rng.IntN(s.cfg.nodes)
	for _, o := range s.owners {
		if o.node == n {
			o.reset()
		}
	}
	s.logf("n%d crashes", n)
}
