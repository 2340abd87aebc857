package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	bindings "github.com/duckdb/duckdb-go-bindings"
)

// interruptEvery is how often an interrupt is repeated: one that arrives just before a statement begins is forgotten.
const interruptEvery = 2 * time.Millisecond

// maxRunsForReason is how often a statement is run until DuckDB says why it fails.
const maxRunsForReason = 3

// Session is one connection with its own temporary views and scans. It runs one statement at a time; calls from several
// goroutines wait for each other.
type Session struct {
	db     *DB
	conn   bindings.Connection
	id     uint64
	retain func(arrow.RecordBatch)

	mu      sync.Mutex
	closed  bool
	tokens  []int64
	results map[*Result]struct{} // open ones
}

func retainRecord(r arrow.RecordBatch) { r.Retain() }

// Exec runs trusted SQL, one statement or several, and forgets what it returns.
func (s *Session) Exec(ctx context.Context, sql string) error {
	if err := checkText("statement", sql); err != nil {
		return err
	}
	return s.run(ctx, func() error {
		var res bindings.Result
		state := bindings.Query(s.conn, sql, &res)
		defer bindings.DestroyResult(&res)
		if state == bindings.StateError {
			return newError(bindings.ResultErrorType(&res), bindings.ResultError(&res))
		}
		return nil
	})
}

// Query runs one statement to its end and returns its whole result, which the caller closes. Parameters are given by
// position; each is nil, bool, int, int64, float64, string, []byte or time.Time (a TIMESTAMP in UTC).
func (s *Session) Query(ctx context.Context, sql string, params []any) (*Result, error) {
	if err := checkText("statement", sql); err != nil {
		return nil, err
	}
	var result *Result
	err := s.runAgain(ctx, func() error {
		return s.withPrepared(sql, func(stmt bindings.PreparedStatement) error {
			if err := bindAll(stmt, params); err != nil {
				return err
			}
			var err error
			result, err = s.execute(stmt)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// runAgain is run for statements that leave nothing behind when they fail: one whose reason was lost is run again for it.
func (s *Session) runAgain(ctx context.Context, f func() error) error {
	var err error
	for range maxRunsForReason {
		if err = s.run(ctx, f); !errors.Is(err, ErrReasonLost) {
			break
		}
	}
	return err
}

// Describe returns the columns that the statement would give, without running it.
func (s *Session) Describe(ctx context.Context, sql string) ([]ResultColumn, error) {
	if err := checkText("statement", sql); err != nil {
		return nil, err
	}
	var columns []ResultColumn
	err := s.run(ctx, func() error {
		return s.withPrepared(sql, func(stmt bindings.PreparedStatement) error {
			n := bindings.PreparedStatementColumnCount(stmt)
			columns = make([]ResultColumn, n)
			for i := range columns {
				logical := bindings.PreparedStatementColumnLogicalType(stmt, bindings.IdxT(i))
				columns[i] = ResultColumn{
					Name: bindings.PreparedStatementColumnName(stmt, bindings.IdxT(i)),
					Type: newType(logical),
				}
				bindings.DestroyLogicalType(&logical)
			}
			return nil
		})
	})
	return columns, err
}

// withPrepared prepares, calls and destroys: a prepared statement keeps what it has bound alive.
func (s *Session) withPrepared(sql string, call func(bindings.PreparedStatement) error) error {
	var stmt bindings.PreparedStatement
	state := bindings.Prepare(s.conn, sql, &stmt)
	defer bindings.DestroyPrepare(&stmt)
	if state == bindings.StateError {
		return newError(bindings.ErrorTypeInvalid, bindings.PrepareError(stmt))
	}
	return call(stmt)
}

func (s *Session) execute(stmt bindings.PreparedStatement) (*Result, error) {
	r := &Result{session: s, filling: -1}
	// A result that is not streamed has no limit of memory.
	state := bindings.ExecutePreparedStreaming(stmt, &r.res)
	var err error
	switch {
	case state == bindings.StateError:
		err = newError(bindings.ResultErrorType(&r.res), bindings.ResultError(&r.res))
	default:
		if err = r.readColumns(); err == nil {
			err = r.collect()
		}
	}
	if err != nil {
		r.destroy()
		return nil, err
	}
	s.results[r] = struct{}{}
	return r, nil
}

// run calls f as the session's only statement and stops it when the context ends or the database closes. It returns
// once nothing of the statement runs any more.
func (s *Session) run(ctx context.Context, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrInterrupted, context.Cause(ctx))
	}
	stop := s.interruptWhenDone(ctx)
	err := f()
	stop()
	if !errors.Is(err, ErrInterrupted) {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", err, context.Cause(ctx))
	case s.db.isClosing():
		return fmt.Errorf("%w: %w", err, ErrClosed)
	}
	return ErrReasonLost
}

// interruptWhenDone watches until the returned function is called, which also waits for the watcher.
func (s *Session) interruptWhenDone(ctx context.Context) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-done:
			return
		case <-ctx.Done():
		case <-s.db.closing:
		}
		again := time.NewTicker(interruptEvery)
		defer again.Stop()
		for {
			bindings.Interrupt(s.conn)
			select {
			case <-done:
				return
			case <-again.C:
			}
		}
	}()
	return func() {
		close(done)
		<-gone
	}
}

// Close closes the session's results, drops its temporary objects and gives back the batches that it retained.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	for r := range s.results {
		r.destroy()
	}
	s.results = nil
	bindings.Disconnect(&s.conn)
	for _, token := range s.tokens {
		s.db.registry.remove(token)
	}
	s.db.sessions.Done()
	return nil
}

func bindAll(stmt bindings.PreparedStatement, params []any) error {
	if want := int(bindings.NParams(stmt)); want != len(params) {
		return &SQLError{
			Kind: KindParameters, Position: -1,
			Message: fmt.Sprintf("the statement has %d parameters, %d were given", want, len(params)),
		}
	}
	for i, p := range params {
		if err := bind(stmt, bindings.IdxT(i+1), p); err != nil {
			return &SQLError{Kind: KindParameters, Position: -1, Message: fmt.Sprintf("parameter %d: %v", i+1, err)}
		}
	}
	return nil
}

func bind(stmt bindings.PreparedStatement, i bindings.IdxT, param any) error {
	var state bindings.State
	switch v := param.(type) {
	case nil:
		state = bindings.BindNull(stmt, i)
	case bool:
		state = bindings.BindBoolean(stmt, i, v)
	case int:
		state = bindings.BindInt64(stmt, i, int64(v))
	case int64:
		state = bindings.BindInt64(stmt, i, v)
	case float64:
		state = bindings.BindDouble(stmt, i, v)
	case string:
		if !utf8.ValidString(v) {
			return errors.New("the text is not valid UTF-8")
		}
		state = bindings.BindVarcharLength(stmt, i, v, bindings.IdxT(len(v)))
	case []byte:
		state = bindings.BindBlob(stmt, i, v)
	case time.Time:
		state = bindings.BindTimestamp(stmt, i, bindings.NewTimestamp(v.UnixMicro()))
	default:
		return fmt.Errorf("values of type %T cannot be given to SQL", param)
	}
	if state == bindings.StateError {
		return fmt.Errorf("DuckDB refused the value: %s", bindings.PrepareError(stmt))
	}
	return nil
}

// checkText refuses text that DuckDB would cut off or take as a reason to give up.
func checkText(what, s string) error {
	if !utf8.ValidString(s) {
		return &SQLError{Kind: KindParser, Position: -1, Message: "the " + what + " is not valid UTF-8"}
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return &SQLError{Kind: KindParser, Position: i, Message: "the " + what + " contains a zero byte"}
	}
	return nil
}
