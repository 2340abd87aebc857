package duckdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/internal/testkit"
)

// poisoning overwrites what is freed, so that whoever reads it afterwards gets nonsense.
type poisoning struct{ memory.Allocator }

func (p poisoning) Free(b []byte) {
	poison(b)
	p.Allocator.Free(b)
}

func (p poisoning) Reallocate(size int, b []byte) []byte {
	grown := p.Allocate(size)
	copy(grown, b)
	p.Free(b)
	return grown
}

func poison(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}

const (
	lifetimeSQL  = "SELECT s, sum(n) FROM drumlin_scan(%d) WHERE n %% 1000 = 7 GROUP BY s ORDER BY 2 LIMIT 1"
	lifetimeWant = "a text that is not kept in place 7|7"
)

// TestScanRetainsBatches drops the caller's reference before the query. The same test without the session's own
// reference must fail, or it proves nothing.
func TestScanRetainsBatches(t *testing.T) {
	db := openDB(t, Options{Threads: 2})
	run := func(retain func(arrow.RecordBatch)) (string, error) {
		s := openSession(t, db)
		s.retain = retain
		scan, r := smallScan(poisoning{memory.NewGoAllocator()}, 5000, longText)
		token, err := s.AddScan(scan)
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
		got, err := lines(s, fmt.Sprintf(lifetimeSQL, token))
		if err != nil || len(got) == 0 {
			return "", err
		}
		return got[0], nil
	}
	if got, err := run(retainRecord); err != nil || got != lifetimeWant {
		t.Fatalf("with a reference of its own: %q, %v", got, err)
	}
	if got, err := run(func(arrow.RecordBatch) {}); err == nil && got == lifetimeWant {
		t.Fatal("without a reference of its own the scan still reads the right rows: this test shows nothing")
	}
}

// TestResultHoldsCopies frees the batches after the query and before its result is read.
func TestResultHoldsCopies(t *testing.T) {
	db := openDB(t, Options{Threads: 2})
	for _, sql := range []string{
		"SELECT s FROM drumlin_scan(%d) ORDER BY n",
		"SELECT min(s) FROM drumlin_scan(%d) GROUP BY n ORDER BY n",
		"SELECT [s] FROM drumlin_scan(%d) ORDER BY n",
		"SELECT s FROM drumlin_scan(%d)",
	} {
		s := openSession(t, db)
		s.retain = func(arrow.RecordBatch) {}
		scan, r := smallScan(poisoning{memory.NewGoAllocator()}, 5000, func(int) string { return longText(42) })
		token, err := s.AddScan(scan)
		if err != nil {
			t.Fatal(err)
		}
		result, err := s.Query(context.Background(), fmt.Sprintf(sql, token), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
		rows := 0
		for result.Next() {
			for row := range result.Rows() {
				got := string(result.AppendText(nil, row, 0))
				if got != longText(42) && got != `["`+longText(42)+`"]` {
					t.Fatalf("%s: row %d reads %q", sql, rows, got)
				}
				rows++
			}
		}
		if rows != 5000 {
			t.Fatalf("%s: %d rows", sql, rows)
		}
	}
}

// TestSessionReleases shows that what sessions retained is given back once they are closed, whatever became of their
// statements.
func TestSessionReleases(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	db := openDB(t, Options{Threads: 2})
	s := openSession(t, db)
	scan, r := smallScan(mem, 5000, longText)
	token, err := s.AddScan(scan)
	if err != nil {
		t.Fatal(err)
	}
	r.Release()
	for _, sql := range []string{"SELECT * FROM drumlin_scan(%d)", "SELECT nope FROM drumlin_scan(%d)", "SELECT error(s) FROM drumlin_scan(%d)"} {
		// The results are left open, on purpose.
		if _, err := s.Query(context.Background(), fmt.Sprintf(sql, token), nil); err != nil && errors.Is(err, ErrFatal) {
			t.Fatal(err)
		}
	}
	if err := s.Exec(context.Background(), fmt.Sprintf("CREATE TEMP VIEW v AS SELECT * FROM drumlin_scan(%d)", token)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, ErrClosed) {
		t.Fatalf("second close: %v", err)
	}
	if err := db.registry.empty(); err != nil {
		t.Fatal(err)
	}
}

// slowSQL runs for minutes unless it is stopped.
const slowSQL = "SELECT count(*) FROM drumlin_scan(%d) a, drumlin_scan(%d) b, drumlin_scan(%d) c WHERE a.s || b.s < c.s"

// TestCancel interrupts statements at random moments and uses the session again at once.
func TestCancel(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	db := openDB(t, Options{Threads: 2})
	s := openSession(t, db)
	scan, r := smallScan(mem, 3000, longText)
	token, err := s.AddScan(scan)
	r.Release()
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	cause := errors.New("the user has gone")
	for i := range testkit.Rounds(60, 20) {
		ctx, cancel := context.WithCancelCause(context.Background())
		var timer *time.Timer
		if i%10 != 0 {
			timer = time.AfterFunc(time.Duration(rng.IntN(20_000))*time.Microsecond, func() { cancel(cause) })
		} else {
			cancel(cause)
		}
		_, err := s.Query(ctx, fmt.Sprintf(slowSQL, token, token, token), nil)
		if !errors.Is(err, ErrInterrupted) || !errors.Is(err, cause) {
			t.Fatalf("round %d: %v, want an interrupt and its cause", i, err)
		}
		if timer != nil {
			timer.Stop()
		}
		cancel(nil)
		wantLines(t, s, fmt.Sprintf("SELECT count(*), sum(n) FROM drumlin_scan(%d)", token), "3000|4498500")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if _, err := s.Query(ctx, fmt.Sprintf(slowSQL, token, token, token), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("deadline: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseInterrupts closes the database under a running statement.
func TestCloseInterrupts(t *testing.T) {
	db := openDB(t, Options{Threads: 2})
	s := openSession(t, db)
	running := make(chan error, 1)
	go func() {
		_, err := s.Query(context.Background(), "SELECT count(*) FROM range(100000000000) a(i) WHERE sqrt(i) < 0", nil)
		running <- errors.Join(err, s.Close())
	}()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-running; !errors.Is(err, ErrClosed) {
		t.Fatalf("the statement ended with %v", err)
	}
	if _, err := db.Session(context.Background()); !errors.Is(err, ErrClosed) {
		t.Fatalf("a session of a closed database: %v", err)
	}
}

// TestManySessions lets eight sessions add, query, cancel and drop at the same time.
func TestManySessions(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	db := openDB(t, Options{Threads: 2})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for round := range 6 {
				if err := oneSession(db, poisoning{mem}, worker*1000+round); err != nil {
					t.Errorf("worker %d round %d: %v", worker, round, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func oneSession(db *DB, mem memory.Allocator, number int) (err error) {
	s, err := db.Session(context.Background())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	scan, r := smallScan(mem, 3000+number, longText)
	token, err := s.AddScan(scan)
	r.Release()
	if err != nil {
		return err
	}
	if number%3 == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(number%7)*time.Millisecond)
		_, err := s.Query(ctx, fmt.Sprintf(slowSQL, token, token, token), nil)
		cancel()
		if !errors.Is(err, ErrInterrupted) {
			return fmt.Errorf("slow query: %w", err)
		}
	}
	got, err := lines(s, fmt.Sprintf("SELECT count(DISTINCT s), sum(n) FROM drumlin_scan(%d)", token))
	if err != nil {
		return err
	}
	rows := 3000 + number
	if want := fmt.Sprintf("%d|%d", rows, rows*(rows-1)/2); got[0] != want {
		return fmt.Errorf("got %s, want %s", got[0], want)
	}
	return nil
}
