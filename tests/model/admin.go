package model

// What people and policies do: floors, spec versions, resets, topics made anew.

func (s *sim) clockBucket() int { return s.step * s.cfg.buckets / s.cfg.steps }

// stepRetention raises the retention floor, not past what is being written.
func (s *sim) stepRetention() {
	to := s.rng.IntN(s.clockBucket()+1) * bucketLen
	if to > s.st.floors.retention {
		s.raise(to, s.st.floors.dedup)
	}
}

func (s *sim) stepDedupFloor() {
	to := s.rng.IntN(s.clockBucket()+1) * bucketLen
	if to > s.st.floors.dedup {
		s.raise(s.st.floors.retention, to)
	}
}

// raise writes the mirror first.
func (s *sim) raise(retention, dedup int) {
	s.mirror.floors = floors{retention: retention, dedup: dedup}
	s.st.rev++
	s.st.floors = floors{retention: retention, dedup: dedup, mod: s.st.rev}
	s.logf("floors %+v", s.st.floors)
}

func (s *sim) stepSpec() {
	s.mirror.spec++
	s.st.rev++
	s.st.spec = s.mirror.spec
	s.logf("spec version %d", s.st.spec)
}

// stepReset asks the owner of a partition to set it back.
func (s *sim) stepReset() { s.wantReset[s.rng.IntN(s.cfg.parts)] = true }

func (s *sim) stepTopic() {
	p := s.rng.IntN(s.cfg.parts)
	if len(s.kafka.logs) < s.cfg.parts+3 {
		s.kafka.recreate(p)
		s.logf("topic of p%d is made anew: log%d", p, s.kafka.served[p])
	}
}

// stepExpireClaim ends the lease of a claim: all its keys go together. The compactor does not notice.
func (s *sim) stepExpireClaim() {
	c := s.compactors[s.rng.IntN(len(s.compactors))]
	s.expire(c.epoch)
}

func (s *sim) expire(epoch int) {
	for _, k := range sortedKeys(s.st.claims) {
		if s.st.claims[k] == epoch {
			s.st.rev++
			delete(s.st.claims, k)
			s.logf("claim %s of epoch %d expires", k, epoch)
		}
	}
}

// stepCrashCompactor loses its memory; its lease ends at once, as far as the protocol can tell.
func (s *sim) stepCrashCompactor() {
	c := s.compactors[s.rng.IntN(len(s.compactors))]
	s.expire(c.epoch)
	*c = compactor{id: c.id}
}
