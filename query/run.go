package query

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"drumlin/catalog"
	"drumlin/duckdb"
	"drumlin/objectstore"
	"drumlin/query/cache"
	"drumlin/segment"
)

// run is one query on its way through the engine. It is used by one goroutine.
type run struct {
	engine     *Engine
	turn       *turn
	sql        string
	parameters []any
	settings   settings
	db         *duckdb.DB
	fresh      bool          // the next plan needs a view as new as now
	planned    *catalog.View // of the newest plan; nil: none has been made
	tree       []node        // of the statement; nil: not parsed yet
}

// once makes one plan at one cut and runs it.
func (q *run) once(ctx context.Context) (*Answer, *Error) {
	if err := q.turn.resume(ctx); err != nil {
		return nil, err
	}
	admission, view, err := q.admit(ctx)
	if err != nil {
		return nil, err
	}
	ask := asking{
		snapshots: &q.engine.snapshots, needs: admission.needsOf,
		committed: q.settings.committed, allowPartial: q.settings.allowPartial, budget: q.settings.hotBudget,
	}
	var snap *snapshot
	defer func() { snap.releaseAny() }()
	err = q.turn.whileWaiting(ctx, func() (err *Error) {
		snap, err = ask.snapshot(ctx, view)
		return err
	})
	if err != nil {
		return nil, err
	}
	q.planned = snap.view
	b := newBuilder(snap, admission, q.engine.options.Allocator, q.engine.folds)
	if err := b.plan(admission.tables()); err != nil {
		return nil, asError(err)
	}
	pins, err := q.pin(ctx, b.segments())
	if err != nil {
		return nil, err
	}
	defer pins.Release()
	a, err := q.execute(ctx, b, pins, admission)
	if err != nil && ctx.Err() == nil && pins.Changed() {
		err.Err = errors.Join(err.Err, errCacheChanged)
	}
	return a, err
}

// errCacheChanged: a statement failed, and somebody had changed or removed files that it read.
var errCacheChanged = errors.New("cached segments have been changed or removed while they were read")

// schemasGrew says whether a statement was refused at a view whose schemas are not the newest: what it names may be new.
func (q *run) schemasGrew(ctx context.Context, err error) bool {
	var refused *duckdb.SQLError
	if q.fresh || q.planned == nil || !errors.As(err, &refused) || refused.Kind != duckdb.KindBinder {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, maxRefresh)
	defer cancel()
	newest, refreshErr := q.engine.views.Refresh(limited)
	if refreshErr != nil {
		q.engine.log.Warn("a statement was refused at a view that may be old, and the catalog cannot be asked for a newer one",
			"revision", q.planned.Revision, "error", refreshErr)
		return false
	}
	for name, ds := range newest.Datasources {
		if old := q.planned.Datasources[name]; old == nil || old.Schema.ID != ds.Schema.ID || string(old.Plan) != string(ds.Plan) {
			return true
		}
	}
	return false
}

// admit parses the statement, once, and checks it against a view. A name that is not known is looked for in a view as new
// as now, and the system tables are of such a view, unless the query says how old it may be.
func (q *run) admit(ctx context.Context) (*admitted, *catalog.View, *Error) {
	if q.tree == nil {
		q.sql = plainSpaces(q.sql)
		tree, err := q.parse(ctx, q.sql)
		if err != nil {
			return nil, nil, err
		}
		q.tree = tree
	}
	var unknown *Error // what was not known to the view before
	for fresh := q.fresh; ; fresh = true {
		view, err := q.engine.startView(ctx, q.settings, fresh)
		if err != nil && unknown != nil && err.Kind == Unavailable {
			err.Message = unknown.Message + " to the last view, and " + err.Message
		}
		if err != nil {
			return nil, nil, err
		}
		admission, err := admit(q.tree, tableNames{view}.resolve, q.parameters)
		switch {
		case err == nil && (fresh || q.settings.maxViewAge >= 0 || !readsSystem(admission)):
			return admission, view, nil
		case err != nil && (fresh || err.Kind != NotFound):
			return nil, nil, err
		}
		unknown = err
	}
}

func readsSystem(a *admitted) bool {
	for _, m := range a.mentions {
		if !strings.HasPrefix(m.table, datasourcePrefix) {
			return true
		}
	}
	return false
}

func (q *run) parse(ctx context.Context, sql string) ([]node, *Error) {
	raw, err := q.db.SyntaxTree(ctx, sql)
	if err != nil {
		return nil, parseError(ctx, sql, err)
	}
	tree, err := decodeTree(raw)
	if err != nil {
		return nil, asError(err)
	}
	return tree, nil
}

// execute makes the views and runs the statement over them. The answer owns the session.
func (q *run) execute(ctx context.Context, b *builder, pins *cache.Pins, admission *admitted) (*Answer, *Error) {
	session, err := q.db.Session(ctx)
	if err != nil {
		return nil, setupError(ctx, err)
	}
	a, queryErr := q.inSession(ctx, session, b, pins, admission)
	if queryErr != nil {
		if err := session.Close(); err != nil {
			queryErr.Err = errors.Join(queryErr.Err, err)
		}
		b.hold.release()
		return nil, queryErr
	}
	return a, nil
}

func (q *run) inSession(ctx context.Context, session *duckdb.Session, b *builder, pins *cache.Pins, admission *admitted) (*Answer, *Error) {
	if err := b.makeViews(ctx, session, pins); err != nil {
		return nil, setupError(ctx, err)
	}
	sql, err := q.internalSQL(ctx, b, admission)
	if err != nil {
		return nil, err
	}
	result, runErr := session.Query(ctx, sql, q.parameters)
	if runErr != nil {
		return nil, statementError(ctx, runErr, admission.sketches)
	}
	return &Answer{
		Columns: columnsOf(result), Cut: b.snap.cut(), Stats: b.stats, hold: b.hold, session: session, result: result, row: -1,
		left: q.settings.outerLimit,
	}, nil
}

// internalSQL is the statement over the views' own names, admitted once more in that form. An outer limit is appended
// where the statement has none; reading stops at it in any case.
func (q *run) internalSQL(ctx context.Context, b *builder, admission *admitted) (string, *Error) {
	sql, err := rewrite(q.sql, admission, b.internal)
	if err != nil {
		return "", err
	}
	if q.settings.outerLimit >= 0 && !admission.hasLimit {
		limited := withLimit(sql, strconv.FormatInt(q.settings.outerLimit, 10))
		if q.check(ctx, limited, b) == nil {
			return limited, nil
		}
	}
	if sql == q.sql { // nothing was named: it has been admitted as it is
		return sql, nil
	}
	return sql, q.check(ctx, sql, b)
}

func (q *run) check(ctx context.Context, sql string, b *builder) *Error {
	tree, err := q.parse(ctx, sql)
	if err != nil {
		return err
	}
	_, err = admit(tree, onlyInternal(b.internal), q.parameters)
	return err
}

// parseError is for a text that DuckDB's parser refuses.
func parseError(ctx context.Context, sql string, err error) *Error {
	var refused *duckdb.SQLError
	if !errors.As(err, &refused) {
		return setupError(ctx, err)
	}
	if strings.Contains(refused.Message, "Only SELECT") {
		return newError(Forbidden, "send one SELECT", "only SELECT statements can be run")
	}
	e := newError(Invalid, "", "%s", refused.Message)
	if refused.Position >= 0 {
		e.Message += fmt.Sprintf(" (character %d)", refused.Position+1)
	}
	if strings.Contains(strings.ToLower(refused.Message), `at or near "to"`) {
		e.Hint = "FLOOR(x TO HOUR) is not supported, write TIME_FLOOR(x, 'PT1H')"
	}
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(sql)), "explain") {
		e.Hint = "EXPLAIN is not supported"
	}
	e.Err = err
	return e
}

// statementError is for a statement that was admitted, and was refused or failed while it ran.
func statementError(ctx context.Context, err error, sketches []sketchCall) *Error {
	var refused *duckdb.SQLError
	if !errors.As(err, &refused) {
		return setupError(ctx, err)
	}
	switch refused.Kind {
	case duckdb.KindInternal, duckdb.KindIO, duckdb.KindPermission:
		return wrapError(Internal, err, "run the query")
	}
	e := newError(Invalid, "", "%s", refused.Message)
	e.Names, e.Err = refused.Candidates, err
	e.Hint = didYouMean(refused.Candidates)
	if before, _, found := strings.Cut(refused.Message, "\n"); e.Hint == "" && found && strings.Contains(before, "No function matches") &&
		strings.Contains(before, "(BLOB") {
		// DuckDB goes on with a list of all overloads.
		e.Message = before
		e.Hint = "a column of sketches is read by APPROX_COUNT_DISTINCT(column) or APPROX_QUANTILE(column, 0.95)"
	}
	if refused.Kind == duckdb.KindSketch {
		return sketchError(e, sketches)
	}
	return e
}

// setupError is for what no caller can be blamed for, unless time or memory ran out.
func setupError(ctx context.Context, err error) *Error {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, duckdb.ErrInterrupted) && ctx.Err() != nil:
		return contextError(ctx)
	case errors.Is(err, duckdb.ErrOutOfMemory):
		e := newError(OutOfMemory, "ask for less: a shorter time, fewer groups, a LIMIT", "the query needs more memory than it may use")
		e.Err = err
		return e
	case ctx.Err() != nil:
		return contextError(ctx)
	}
	return wrapError(Internal, err, "run the query")
}

// pin waits until the segments are in the cache.
func (q *run) pin(ctx context.Context, segments []segment.Meta) (*cache.Pins, *Error) {
	var pins *cache.Pins
	err := q.turn.whileWaiting(ctx, func() *Error {
		got, err := q.engine.cache.Pin(ctx, segments)
		if err != nil {
			return cacheError(ctx, err)
		}
		pins = got
		return nil
	})
	if err != nil && pins != nil {
		pins.Release()
	}
	return pins, err
}

// storeHint is what to do where the object store does not give what it has.
const storeHint = "see whether the object store answers, and try again; times whose segments this process has in its cache can be asked for meanwhile"

// cacheError names the object, and the store in whose words it has failed.
func cacheError(ctx context.Context, err error) *Error {
	switch {
	case ctx.Err() != nil:
		return contextError(ctx).during("segments were read from the object store", []string{err.Error()})
	case errors.Is(err, cache.ErrTooBig):
		e := newError(OutOfMemory, "", "%v", err)
		e.Err = err
		return e
	case errors.Is(err, segment.ErrCorrupt):
		return wrapError(Internal, err, "a segment is damaged in the object store")
	case errors.Is(err, objectstore.ErrNotFound):
		return wrapError(Unavailable, err, "a segment is not in the object store")
	}
	e := wrapError(Unavailable, err, "read the object store")
	e.Hint = storeHint
	return e
}
