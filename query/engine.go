package query

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"drumlin/duckdb"
	"drumlin/objectstore"
	"drumlin/query/cache"
)

// maxPlans bounds how often one query is planned anew because an object or a file was gone, or the schema has grown.
const maxPlans = 3

// Engine answers queries. It is safe for concurrent use.
type Engine struct {
	options   Options
	cache     *cache.Cache
	snapshots snapshots
	views     *freshness
	stop      context.CancelFunc // of checking the view
	metrics   *metrics
	folds     *foldBudget
	log       *slog.Logger
	turns     *turns

	mu       sync.Mutex
	db       *duckdb.DB
	lastSeen int64 // newest revision that an answer of this process has had
	closing  sync.WaitGroup
	closeErr error // of databases that were given up
}

// New opens the cache and the database. The caller closes the engine after its last answer.
func New(o Options) (*Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	var cacheMetrics *cache.Metrics
	if o.Registerer != nil {
		cacheMetrics = cache.NewMetrics(o.Registerer)
	}
	segments, err := cache.Open(cache.Options{
		Dir: o.CacheDir, MaxBytes: o.MaxCacheBytes, Objects: o.Objects, Budget: o.ObjectBudget, Logger: o.Logger, Metrics: cacheMetrics,
	})
	if err != nil {
		return nil, err
	}
	o.DuckDB.AllowedDirs = []string{segments.Dir()}
	o.DuckDB.KeepFooters = true
	o.DuckDB.Sketches = newSketches()
	db, err := duckdb.Open(o.DuckDB)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	views, counts := newFreshness(o.Catalog, o.Logger), newMetrics(o.Registerer)
	if o.Registerer != nil {
		o.Registerer.MustRegister(append(views.gauges(), newChunkMetrics(o.Catalog))...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &Engine{
		options: o, cache: segments, snapshots: snapshots{catalog: views, hot: o.Hot, states: o.Supervisors, metrics: counts, log: o.Logger},
		views: views, stop: cancel, metrics: counts, folds: &foldBudget{maxBytes: o.MaxFoldBytes}, log: o.Logger,
		turns: newTurns(o.MaxConcurrent, o.QueueTimeout), db: db,
	}
	e.closing.Go(func() { views.run(ctx, o.ViewCheckEvery) })
	return e, nil
}

// Close closes the database once every answer has been closed.
func (e *Engine) Close() error {
	e.stop()
	err := e.database().Close()
	e.closing.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(err, e.closeErr)
}

func (e *Engine) database() *duckdb.DB {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.db
}

// Query runs one SELECT. Every error is an *Error. The caller closes the answer.
func (e *Engine) Query(ctx context.Context, r Request) (*Answer, error) {
	start := time.Now()
	e.metrics.begin()
	a, err := e.limited(ctx, r)
	e.metrics.end(start, a, err)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// limited waits for the query's turn and runs it within its time.
func (e *Engine) limited(ctx context.Context, r Request) (*Answer, *Error) {
	if len(r.SQL) > e.options.MaxSQLBytes {
		return nil, newError(Invalid, "send less text, or use parameters", "the query is longer than %d bytes", e.options.MaxSQLBytes)
	}
	parameters, err := parameterValues(r.Parameters)
	if err != nil {
		return nil, err
	}
	s, err := e.options.settings(r.Context)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	turn, err := e.turns.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer turn.leave()
	return e.retried(ctx, &run{engine: e, turn: turn, sql: r.SQL, parameters: parameters, settings: s})
}

// retried runs the query again where that can help: at a fresh view when an object is gone or a column may be new, with
// files fetched again when the cache has been taken away, and once on a new database when the old one has declared itself
// invalid.
func (e *Engine) retried(ctx context.Context, q *run) (*Answer, *Error) {
	reopened := false
	for plans := 1; ; plans++ {
		q.db = e.database()
		a, err := q.once(ctx)
		switch {
		case err == nil:
			e.seen(a.Cut.Revision)
			return a, nil
		case ctx.Err() != nil && err.Kind != Timeout && err.Kind != Canceled:
			return nil, contextError(ctx)
		case errors.Is(err, duckdb.ErrFatal) && !reopened:
			reopened = true
			if openErr := e.reopen(q.db); openErr != nil {
				return nil, wrapError(Internal, openErr, "open the database again")
			}
		case errors.Is(err, objectstore.ErrNotFound) && plans < maxPlans:
			e.metrics.replan()
			q.fresh = true
		case (errors.Is(err, errCacheChanged) || errors.Is(err, fs.ErrNotExist)) && plans < maxPlans:
			e.metrics.replan()
		case q.schemasGrew(ctx, err) && plans < maxPlans:
			e.metrics.replan()
			q.fresh = true
		default:
			return nil, err
		}
	}
}

func (e *Engine) seen(revision int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastSeen = max(e.lastSeen, revision)
}

// reopen replaces the broken database, which is closed in the background once its sessions are.
func (e *Engine) reopen(broken *duckdb.DB) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.db != broken {
		return nil
	}
	e.log.Error("the database has declared itself invalid and is opened again")
	e.metrics.reopen()
	db, err := duckdb.Open(e.options.DuckDB)
	if err != nil {
		return err
	}
	e.db = db
	e.closing.Go(func() {
		err := broken.Close()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closeErr = errors.Join(e.closeErr, err)
	})
	return nil
}
