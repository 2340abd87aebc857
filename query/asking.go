package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
)

const (
	// hotRequestsAtOnce bounds one query's requests under way: most of their time goes by on the network.
	hotRequestsAtOnce = 64
	// Between attempts there is a pause, which doubles.
	firstHotPause = 20 * time.Millisecond
	lastHotPause  = 320 * time.Millisecond
	// minAttempt is the least time that owners get for one attempt, however short the budget is.
	minAttempt = time.Second
	// maxRefresh bounds how long the newest view is waited for between two attempts, which can be made without it.
	maxRefresh = time.Second
)

// snapshots takes snapshots.
type snapshots struct {
	catalog Catalog
	hot     HotSource
	states  SupervisorStates // nil: the catalog's word alone
	metrics *metrics
	log     *slog.Logger
}

// asking is one query's way to a snapshot. It is used by one goroutine.
type asking struct {
	*snapshots
	needs        func(*catalog.View) (map[string]*hotNeed, *Error)
	committed    bool
	allowPartial bool
	// budget is how long attempts are begun; each may take as long, and at least minAttempt.
	budget time.Duration

	deadline   time.Time
	catalogErr error // why there was no newer view for the last attempt; nil: there was
}

// missing is a partition whose rows could not be had in one attempt.
type missing struct {
	key    catalog.PartitionKey
	reason string
	// revision is the view to wait for; 0: the view is not what is missing.
	revision int64
	// halted: its owner has stopped reading until somebody decides.
	halted bool
}

// snapshot asks until every partition has given its rows at one view, or the budget is spent. Rows that one attempt has
// got serve the next, unless more has been committed meanwhile. After the budget the snapshot lacks what is missing, and
// says so, where that is allowed.
func (a *asking) snapshot(ctx context.Context, view *catalog.View) (*snapshot, *Error) {
	start := time.Now()
	defer func() { a.metrics.waited(start) }()
	a.deadline = start.Add(a.budget)
	var snap *snapshot
	for pause, again := firstHotPause, false; ; pause, again = min(2*pause, lastHotPause), true {
		needs, err := a.needs(view)
		if err != nil {
			snap.releaseAny()
			return nil, err
		}
		next, wants := a.attempt(ctx, view, needs, snap)
		snap.releaseAny()
		snap = next
		if len(wants) == 0 {
			return snap, nil
		}
		if ctx.Err() == nil && again && a.hopeless(wants) {
			return a.giveUp(snap, wants)
		}
		if ctx.Err() == nil {
			view, err = a.next(ctx, view, wants, pause)
		}
		switch {
		case ctx.Err() != nil:
			snap.release()
			return nil, contextError(ctx).during("owners of partitions were asked for their rows", snap.reasons(wants))
		case err != nil:
			snap.release()
			return nil, err
		case view != nil:
			a.metrics.askedAgain()
			continue
		}
		return a.giveUp(snap, wants)
	}
}

func (s *snapshot) releaseAny() {
	if s != nil {
		s.release()
	}
}

// hopeless says whether there is nothing to wait for: what is missing has halted, or enough of it to refuse an answer.
func (a *asking) hopeless(wants []missing) bool {
	halted := 0
	for _, m := range wants {
		if m.halted {
			halted++
		}
	}
	return halted == len(wants) || halted > 0 && !a.allowPartial
}

// giveUp ends with what there is, or with an error.
func (a *asking) giveUp(snap *snapshot, wants []missing) (*snapshot, *Error) {
	a.metrics.missed(len(wants), a.allowPartial)
	if a.allowPartial {
		snap.without(wants)
		return snap, nil
	}
	snap.release()
	return nil, a.unavailable(snap, wants)
}

// next returns the view for another attempt: past the revision that an owner has asked for, or, after a pause, the
// newest; the same one where the catalog cannot be asked, since owners may answer all the same. Nil: the budget is spent.
func (a *asking) next(ctx context.Context, view *catalog.View, wants []missing, pause time.Duration) (*catalog.View, *Error) {
	left := time.Until(a.deadline)
	if left <= 0 {
		return nil, nil
	}
	revision := int64(0)
	for _, m := range wants {
		revision = max(revision, m.revision)
	}
	waiting, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	var next *catalog.View
	var err error
	if revision > view.Revision {
		if next, err = a.catalog.WaitRevision(waiting, revision); err == nil {
			a.catalogErr = nil
			return next, nil
		}
		a.catalogErr = err
	}
	timer := time.NewTimer(min(pause, left))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-waiting.Done():
	}
	if waiting.Err() != nil || time.Until(a.deadline) <= 0 {
		return nil, nil
	}
	refreshing, cancelRefresh := context.WithTimeout(waiting, maxRefresh)
	defer cancelRefresh()
	if next, err = a.catalog.Refresh(refreshing); err != nil {
		a.catalogErr = err
		return view, nil
	}
	a.catalogErr = nil
	return next, nil
}

// attempt asks every owner once, but for rows that the earlier snapshot has; nil: there is none.
func (a *asking) attempt(ctx context.Context, view *catalog.View, needs map[string]*hotNeed, earlier *snapshot) (*snapshot, []missing) {
	snap, owners, wants := newSnapshot(view, needs, a.committed)
	snap.states, snap.log = a.states, a.log
	if earlier != nil {
		had := snap.take(earlier)
		wants = slices.DeleteFunc(wants, func(m missing) bool { return had[m.key] })
	}
	limited, cancel := context.WithTimeout(ctx, max(a.budget, minAttempt))
	defer cancel()
	return snap, append(wants, a.askAll(limited, snap, owners)...)
}

func (a *asking) askAll(ctx context.Context, snap *snapshot, owners []*partitionSnapshot) []missing {
	var mu sync.Mutex
	var wants []missing
	var group sync.WaitGroup
	slots := make(chan struct{}, hotRequestsAtOnce)
	for _, p := range owners {
		if p.hot != nil {
			continue
		}
		ds := snap.datasources[snap.view.Supervisors[p.key.Supervisor].Datasource]
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if m := a.askOne(ctx, snap.view.Revision, ds, p); m != nil {
				mu.Lock()
				defer mu.Unlock()
				wants = append(wants, *m)
			}
		})
	}
	group.Wait()
	return wants
}

func (a *asking) askOne(ctx context.Context, revision int64, ds *datasourceSnapshot, p *partitionSnapshot) *missing {
	request := ds.need.request(p, revision)
	rows, err := a.hot.Hot(ctx, request)
	var refused *segment.HotUnavailable
	switch {
	case errors.As(err, &refused):
		m := &missing{key: p.key, reason: refused.Detail, halted: refused.Status == segment.HotHalted}
		if refused.Status == segment.HotStaleView {
			m.revision = refused.Revision
		}
		return m
	case errors.Is(err, context.DeadlineExceeded):
		return &missing{key: p.key, reason: fmt.Sprintf("its owner has not answered within %s", max(a.budget, minAttempt))}
	case err != nil:
		return &missing{key: p.key, reason: err.Error()}
	}
	reason := ds.need.complete(ds.view, rows)
	if rows.To < p.offset.Next || rows.Generation != p.offset.Generation {
		reason = fmt.Sprintf("its owner has read up to offset %d of generation %d only", rows.To, rows.Generation)
	}
	if reason == "" {
		if err := cutBelow(rows, p.offset.Next); err != nil {
			reason = err.Error()
		}
	}
	if reason != "" {
		rows.Release()
		return &missing{key: p.key, reason: reason}
	}
	p.asked, p.hot, p.end = request, rows, rows.To
	return nil
}
