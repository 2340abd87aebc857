package model

// The log that the brokers serve, and the events that producers put there.

type recordKind int

const (
	dataRecord    recordKind = iota
	controlRecord            // skipped
	badRecord                // rejected
)

// record is one Kafka record.
type record struct {
	kind recordKind
	ts   int // Kafka timestamp, in ticks
	key  int // dedup key; 0: none
	time int // event time, in ticks
	dims [2]int
	val  int
	tag  int // what the spec's filter reads
}

// partitionLog is the log of one partition of one topic id.
type partitionLog struct {
	id      int
	records []record
}

// kafka holds every log that ever was; the newest of each partition is the one that is served.
type kafka struct {
	logs   map[int]*partitionLog // by id
	served []int                 // partition → id of the log
}

func newKafka(parts int) *kafka {
	k := &kafka{logs: map[int]*partitionLog{}}
	for p := range parts {
		k.served = append(k.served, 0)
		k.recreate(p)
	}
	return k
}

// recreate replaces the partition's log by a new, empty one: the topic has been deleted and made anew.
func (k *kafka) recreate(part int) {
	l := &partitionLog{id: len(k.logs) + 1}
	k.logs[l.id] = l
	k.served[part] = l.id
}

func (k *kafka) current(part int) *partitionLog { return k.logs[k.served[part]] }

func bucketOf(time int) int   { return time / bucketLen }
func endOf(bucket int) int    { return (bucket + 1) * bucketLen }
func mix(a, b, mod int) int   { return (a*7919 + b*104729 + a*b*31) % mod }
func (s *sim) pct(p int) bool { return s.rng.IntN(100) < p }

// stepProduce appends one record. Copies of an identity are equal in content unless the run has conflicts; only the
// tag, which the ingest filter reads, always differs from copy to copy.
func (s *sim) stepProduce() {
	part := s.rng.IntN(s.cfg.parts)
	log := s.kafka.current(part)
	span := s.cfg.buckets * bucketLen
	ts := s.cfg.startTicks + s.step*(span-s.cfg.startTicks)/s.cfg.steps - s.rng.IntN(4)
	r := record{ts: max(ts, 0), tag: s.rng.IntN(4)}
	switch n := s.rng.IntN(100); {
	case n < 4:
		r.kind = controlRecord
	case n < 8:
		r.kind = badRecord
	}
	r.time = max(r.ts-s.rng.IntN(3), 0)
	if s.pct(s.cfg.latePct) {
		r.time = s.rng.IntN(r.ts + 1)
	}
	if !s.pct(s.cfg.keylessPct) {
		r.key = 1 + s.rng.IntN(s.cfg.keys)
	}
	b := bucketOf(r.time)
	if r.key == 0 || s.cfg.conflicts && s.pct(50) {
		r.dims, r.val = [2]int{s.rng.IntN(3), s.rng.IntN(3)}, 1+s.rng.IntN(9)
	} else {
		r.time = b*bucketLen + mix(b, r.key, bucketLen)
		r.dims, r.val = [2]int{mix(b, r.key, 3), mix(r.key, b, 3)}, 1+mix(b+1, r.key, 9)
	}
	log.records = append(log.records, r)
	s.logf("produce p%d log%d @%d %+v", part, log.id, len(log.records)-1, r)
}
