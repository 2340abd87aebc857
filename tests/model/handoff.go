package model

import (
	"fmt"
	"slices"
)

type recordKindOf string

const (
	recordBegin       recordKindOf = "begin"
	recordAcknowledge recordKindOf = "acknowledge"
	recordReset       recordKindOf = "reset"
	recordRebuild     recordKindOf = "rebuild"
	recordCommit      recordKindOf = "commit"
)

// offRecord is what is written beside the data before a put of offset/…
type offRecord struct {
	kind    recordKindOf
	part    int
	attempt int // within the epoch
	prev    int // mod_revision of the offset that it replaces; 0: none
	off     offset
	commit  *commit // without revision
}

func (s *sim) putRecord(o *owner, kind recordKindOf, off offset, c *commit) string {
	o.attempt++
	r := &offRecord{kind: kind, part: o.part, attempt: o.attempt, prev: o.off.mod, off: off, commit: c}
	return s.put("record", o.epoch, object{record: r})
}

// upload writes the segments and the record of a handoff that ends at a random offset that was read.
func (s *sim) upload(o *owner) {
	from := o.off.next
	to := from + 1 + s.rng.IntN(o.read-from)
	i := slices.IndexFunc(o.hot, func(h hotItem) bool { return h.off == from })
	items := o.hot[i : i+to-from]
	rows := s.handoffRows(items)
	s.serial++
	c := commit{
		commitKey: commitKey{part: o.part, gen: o.off.gen, from: from}, to: to, uuid: fmt.Sprintf("c%d", s.serial),
		epoch: o.epoch, facts: o.off.facts, clock: items[len(items)-1].clock, rejects: -1,
	}
	if s.on(CommitInRejectsBucket) {
		c.rejects = min(bucketOf(items[0].clock), s.cfg.buckets-1)
	}
	byBucket := map[int][]row{}
	for _, r := range rows {
		byBucket[r.bucket] = append(byBucket[r.bucket], r)
	}
	for _, b := range sortedKeys(byBucket) {
		c.segs = append(c.segs, segRef{bucket: b, object: s.put("seg", o.epoch, object{rows: byBucket[b]})})
	}
	next := o.off
	next.next, next.clock = to, c.clock
	body := c
	c.record = s.putRecord(o, recordCommit, next, &body)
	next.record = c.record
	o.pend = &pendingCommit{commit: c, next: next, prev: o.off.mod}
	s.logf("n%d p%d uploads %s [%d,%d) epoch %d: %d rows", o.node, o.part, c.uuid, from, to, o.epoch, len(rows))
}

// handoffRows removes the copies of the commit's own range. The order is reject, filter, dedup; a handoff never runs
// the plan's filter.
func (s *sim) handoffRows(items []hotItem) []row {
	seen := map[ident]bool{}
	var rows []row
	for _, h := range items {
		id := s.identity(h.row)
		switch {
		case h.outcome == stored && !seen[id] || h.outcome == stored && s.on(FilterBeforeDedup):
			rows = append(rows, h.row)
			seen[id] = true
		case h.outcome == skipped && h.row.key != 0:
			seen[id] = true
		}
	}
	rows = s.dedup(rows)
	if s.on(HandoffWithoutPlan) || !s.cfg.rollup {
		return rows
	}
	return slices.DeleteFunc(rows, func(r row) bool {
		h, ok := s.st.heads[r.bucket]
		return ok && !s.plans[h.plan].pass(r.dims)
	})
}

// commitTxn sends the transaction of a handoff. Its reply may be lost, whether or not it was applied.
func (s *sim) commitTxn(o *owner) {
	p := o.pend
	if s.pct(s.cfg.lostPct) {
		if s.pct(50) {
			s.applyCommit(o, p)
		}
		s.stats.lost++
		s.logf("n%d p%d reply of %s is lost", o.node, o.part, p.commit.uuid)
		s.resolveCommit(o, p)
		return
	}
	if !s.applyCommit(o, p) {
		s.stats.fenced++
		s.stepDown(o)
		return
	}
	s.committed(o, s.st.off[o.part])
}

// applyCommit is the transaction.
func (s *sim) applyCommit(o *owner, p *pendingCommit) bool {
	fenced := s.st.own[o.part].create != o.epoch && s.on(OwnerFence)
	if _, there := s.st.commits[p.commit.commitKey]; there || fenced || s.st.off[o.part].mod != p.prev {
		s.logf("n%d p%d commit of %s refused", o.node, o.part, p.commit.uuid)
		return false
	}
	s.st.rev++
	c, next := p.commit, p.next
	c.create, next.mod = s.st.rev, s.st.rev
	s.st.commits[c.commitKey], s.st.off[o.part] = &c, next
	s.stats.commits++
	s.logf("n%d p%d commits %s [%d,%d) at %d: buckets %v", o.node, o.part, c.uuid, c.from, c.to, s.st.rev, c.buckets())
	s.checkCommit(&c)
	s.oracle.noteOffset(s.st.stamp(), o.part, next)
	return true
}

// resolveCommit reads back after a lost reply. Unless the outcome is certain, the owner steps down; the same attempt may
// be sent again while the offset has not moved.
func (s *sim) resolveCommit(o *owner, p *pendingCommit) {
	c, ok := s.st.commits[p.commit.commitKey]
	off := s.st.off[o.part]
	switch {
	case ok && c.uuid == p.commit.uuid && off.mod == c.create:
		s.committed(o, off)
	case off.mod == p.prev:
	default:
		s.stepDown(o)
	}
}

func (s *sim) committed(o *owner, off offset) { o.off, o.pend = off, nil }
