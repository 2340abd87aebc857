package query

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drumlin/catalog"
	"drumlin/segment"
)

// Catalog gives views: the newest that this process has, one at least as new as a revision, and one at least as new
// as now.
type Catalog interface {
	View() *catalog.View
	WaitRevision(ctx context.Context, revision int64) (*catalog.View, error)
	Refresh(ctx context.Context) (*catalog.View, error)
}

// HotSource reaches the owners of partitions. A refusal is a *segment.HotUnavailable.
type HotSource interface {
	Hot(ctx context.Context, request segment.HotRequest) (*segment.HotRows, error)
}

const (
	hotRequestsAtOnce = 16
	hotRetryPause     = 20 * time.Millisecond
)

// snapshot is one view with the hot rows that belong to it. It holds references to the hot batches until release.
type snapshot struct {
	view        *catalog.View
	datasources map[string]*datasourceSnapshot
	order       []string // names, ascending
	states      SupervisorStates
}

type datasourceSnapshot struct {
	view       *catalog.DatasourceView
	partitions []*partitionSnapshot // by supervisor, topic, partition
}

type partitionSnapshot struct {
	key    catalog.PartitionKey
	offset catalog.Offset
	// revision is that of the offset.
	revision int64
	hot      *segment.HotRows // nil: cold rows only
	end      int64            // the cut: offsets below it count
}

func (s *snapshot) release() {
	for _, ds := range s.datasources {
		for _, p := range ds.partitions {
			if p.hot != nil {
				p.hot.Release()
			}
		}
	}
}

// snapshots takes snapshots of the named datasources.
type snapshots struct {
	catalog Catalog
	hot     HotSource
	// budget bounds the waiting for owners.
	budget time.Duration
	states SupervisorStates // nil: the catalog's word alone
}

// missing is a partition whose rows could not be had in one attempt.
type missing struct {
	key    catalog.PartitionKey
	reason string
	// revision is the view to wait for; 0: the view is not what is missing.
	revision int64
}

// take asks until every partition has given its rows at one view, or the budget is spent. pick names the datasources
// of a view that the query reads.
func (s *snapshots) take(ctx context.Context, view *catalog.View, pick func(*catalog.View) ([]string, *Error), committed bool) (*snapshot, *Error) {
	deadline := time.Now().Add(s.budget)
	for {
		names, pickErr := pick(view)
		if pickErr != nil {
			return nil, pickErr
		}
		snap, wants := s.attempt(ctx, view, names, committed)
		if len(wants) == 0 {
			return snap, nil
		}
		snap.release()
		if err := ctx.Err(); err != nil {
			return nil, contextError(ctx)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, unavailable(wants, s.budget)
		}
		next, err := s.next(ctx, view, wants, left)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return nil, unavailable(wants, s.budget)
		}
		view = next
	}
}

// next returns the view for another attempt: past the revision that an owner has asked for, or, after a pause, the
// newest. Nil: the time is over.
func (s *snapshots) next(ctx context.Context, view *catalog.View, wants []missing, left time.Duration) (*catalog.View, *Error) {
	revision := int64(0)
	for _, m := range wants {
		revision = max(revision, m.revision)
	}
	waiting, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	var next *catalog.View
	var err error
	if revision > view.Revision {
		next, err = s.catalog.WaitRevision(waiting, revision)
	} else {
		pause := time.NewTimer(hotRetryPause)
		defer pause.Stop()
		select {
		case <-pause.C:
			next, err = s.catalog.Refresh(waiting)
		case <-waiting.Done():
			err = waiting.Err()
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, contextError(ctx)
	case err == nil:
		return next, nil
	case waiting.Err() != nil:
		return nil, nil
	}
	return nil, wrapError(Unavailable, err, "read the catalog")
}

func (s *snapshots) attempt(ctx context.Context, view *catalog.View, names []string, committed bool) (*snapshot, []missing) {
	snap := &snapshot{view: view, datasources: map[string]*datasourceSnapshot{}, states: s.states}
	var wants []missing
	var ask []*partitionSnapshot
	for _, name := range names {
		snap.datasources[name] = &datasourceSnapshot{view: view.Datasources[name]}
		snap.order = append(snap.order, name)
	}
	sort.Strings(snap.order)
	for _, supervisor := range view.Supervisors {
		ds, ok := snap.datasources[supervisor.Datasource]
		if !ok {
			continue
		}
		noLongerRead := givenUp(supervisor)
		for _, p := range supervisor.Partitions {
			if p.OffsetRevision == 0 { // nothing committed, not even where it begins
				if !committed && !supervisor.Suspended {
					wants = append(wants, missing{key: p.Key, reason: "its owner has not begun to read it"})
				}
				continue
			}
			part := &partitionSnapshot{key: p.Key, offset: p.Offset, revision: p.OffsetRevision, end: p.Offset.Next}
			ds.partitions = append(ds.partitions, part)
			switch {
			case committed || supervisor.Suspended && p.Owner == nil:
			case p.Owner == nil && noLongerRead(p.Key.Topic):
			case p.Owner == nil:
				wants = append(wants, missing{key: p.Key, reason: "it has no owner"})
			default:
				ask = append(ask, part)
			}
		}
	}
	for _, ds := range snap.datasources {
		sortPartitions(ds.partitions)
	}
	if len(wants) > 0 {
		return snap, wants
	}
	return snap, s.askAll(ctx, view.Revision, ask)
}

func sortPartitions(parts []*partitionSnapshot) {
	sort.Slice(parts, func(i, j int) bool {
		a, b := parts[i].key, parts[j].key
		switch {
		case a.Supervisor != b.Supervisor:
			return a.Supervisor < b.Supervisor
		case a.Topic != b.Topic:
			return a.Topic < b.Topic
		}
		return a.Partition < b.Partition
	})
}

func (s *snapshots) askAll(ctx context.Context, revision int64, ask []*partitionSnapshot) []missing {
	var mu sync.Mutex
	var wants []missing
	var group errgroup.Group
	group.SetLimit(hotRequestsAtOnce)
	for _, p := range ask {
		group.Go(func() error {
			if m := s.askOne(ctx, revision, p); m != nil {
				mu.Lock()
				defer mu.Unlock()
				wants = append(wants, *m)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil { // the functions above give none
		return append(wants, missing{reason: err.Error()})
	}
	return wants
}

func (s *snapshots) askOne(ctx context.Context, revision int64, p *partitionSnapshot) *missing {
	rows, err := s.hot.Hot(ctx, segment.HotRequest{
		Supervisor: p.key.Supervisor, Topic: p.key.Topic, Generation: p.offset.Generation, Partition: p.key.Partition,
		From: p.offset.Next, Facts: p.offset.Facts, Revision: revision,
	})
	var refused *segment.HotUnavailable
	switch {
	case errors.As(err, &refused):
		m := &missing{key: p.key, reason: refused.Detail}
		if refused.Status == segment.HotStaleView {
			m.revision = refused.Revision
		}
		return m
	case err != nil:
		return &missing{key: p.key, reason: err.Error()}
	}
	if rows.To < p.offset.Next || rows.Generation != p.offset.Generation {
		rows.Release()
		return &missing{key: p.key, reason: fmt.Sprintf("its owner has read up to offset %d of generation %d only", rows.To, rows.Generation)}
	}
	p.hot, p.end = rows, rows.To
	if err := cutBelow(rows, p.offset.Next); err != nil {
		return &missing{key: p.key, reason: err.Error()}
	}
	return nil
}

func unavailable(wants []missing, budget time.Duration) *Error {
	sort.Slice(wants, func(i, j int) bool { return partitionName(wants[i].key) < partitionName(wants[j].key) })
	e := newError(Unavailable, `try again, or ask for committed rows only with the context {"cut": "committed"}`,
		"%d partition(s) could not give their rows within %s", len(wants), budget)
	for i, m := range wants {
		name := partitionName(m.key)
		e.Names = append(e.Names, name)
		if i < maxNearNames {
			e.Message += fmt.Sprintf("; %s: %s", name, m.reason)
		}
	}
	return e
}

func partitionName(k catalog.PartitionKey) string {
	return fmt.Sprintf("%s/%s/%d", k.Supervisor, k.Topic, k.Partition)
}

// contextError tells the query's own time limit from a caller who has gone.
func contextError(ctx context.Context) *Error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return newError(Timeout, `ask for less, or raise the context's "timeout" (milliseconds)`, "the query has run out of time")
	}
	return newError(Canceled, "", "the query was cancelled")
}
