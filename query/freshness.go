package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
)

// freshness is the catalog, with what is known of how old its newest view may be: it asks now and then whether the view
// is the newest, since a view that does not change says nothing of itself.
type freshness struct {
	Catalog
	log *slog.Logger

	mu      sync.Mutex
	checked time.Time // when the store was last asked, and the view was then at least as new as its answer
	asked   bool      // checked is more than when this began
	failed  error     // of the newest check; nil: it succeeded
}

// maxViewCheck bounds one check.
const maxViewCheck = 5 * time.Second

func newFreshness(c Catalog, log *slog.Logger) *freshness {
	return &freshness{Catalog: c, log: log, checked: time.Now()}
}

// Refresh notes every success, whoever asked.
func (f *freshness) Refresh(ctx context.Context) (*catalog.View, error) {
	start := time.Now()
	view, err := f.Catalog.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if start.After(f.checked) {
		f.checked = start
	}
	f.asked = true
	return view, nil
}

// age is how long ago the view was known to be the newest; known is false until it was for the first time.
func (f *freshness) age() (age time.Duration, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.checked), f.asked
}

// run checks now and then until ctx ends. The view that it begins with has just been read.
func (f *freshness) run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f.check(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// check logs when asking begins to fail, and when it succeeds again.
func (f *freshness) check(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, maxViewCheck)
	defer cancel()
	_, err := f.Refresh(limited)
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	before := f.failed
	f.failed = err
	f.mu.Unlock()
	switch {
	case err != nil && before == nil:
		f.log.Warn("the catalog cannot be asked for its newest view; queries go on with the last one", "revision", f.View().Revision, "error", err)
	case err == nil && before != nil:
		f.log.Info("the catalog answers again", "revision", f.View().Revision)
	}
}

// gauges are the age and the revision of the view.
func (f *freshness) gauges() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drumlin_query_view_age_seconds", Help: "Time since the catalog's view was known to be the newest.",
		}, func() float64 {
			age, _ := f.age()
			return age.Seconds()
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drumlin_query_view_revision", Help: "Revision of the newest view that queries have.",
		}, func() float64 { return float64(f.View().Revision) }),
	}
}

// startView is a view that is no older than what this process has shown before and than the request asks for.
func (e *Engine) startView(ctx context.Context, s settings, fresh bool) (*catalog.View, *Error) {
	e.mu.Lock()
	atLeast := max(e.lastSeen, s.revision)
	e.mu.Unlock()
	waiting, cancel := context.WithTimeout(ctx, min(catalogBudget, max(s.hotBudget, e.options.HotBudget)))
	defer cancel()
	if age, known := e.views.age(); s.maxViewAge >= 0 && (!known || age > s.maxViewAge) {
		fresh = true
	}
	view := e.views.View()
	var err error
	if fresh {
		last := view.Revision
		if view, err = e.views.Refresh(waiting); err != nil {
			return nil, e.noNewerView(ctx, s, last, err)
		}
	}
	if view.Revision >= atLeast {
		return view, nil
	}
	last := view.Revision
	if view, err = e.views.WaitRevision(waiting, atLeast); err == nil {
		return view, nil
	}
	if ctx.Err() != nil {
		return nil, contextError(ctx).during("the catalog was waited for", nil)
	}
	out := wrapError(Unavailable, err, "the answer must not be older than revision %d, and this process has only seen revision %d", atLeast, last)
	out.Hint = "try again"
	return nil, out
}

// noNewerView says that the newest view cannot be had, and what can be had instead.
func (e *Engine) noNewerView(ctx context.Context, s settings, last int64, err error) *Error {
	if ctx.Err() != nil {
		return contextError(ctx).during("the catalog was asked for its newest view", nil)
	}
	reason := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		reason = "etcd does not answer: " + reason
	}
	age, known := e.views.age()
	text := fmt.Sprintf("the last view, of revision %d, ", last)
	if known {
		text += fmt.Sprintf("was the newest %s ago", age.Round(time.Millisecond))
	} else {
		text += "has never been compared with it"
	}
	out := newError(Unavailable, `try again, or allow an older view with the context {"maxViewAge": milliseconds}`,
		"the catalog's newest view is needed and cannot be read: %s; %s", reason, text)
	if s.maxViewAge >= 0 {
		out.Message += fmt.Sprintf(", and the query allows %s", s.maxViewAge)
		out.Hint = `try again, or allow an older view with a greater "maxViewAge" in the context`
	}
	out.Err = err
	return out
}
