package compaction

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"drumlin/catalog"
	"drumlin/internal/failpoint"
	"drumlin/internal/testkit"
	"drumlin/objectstore"
	"drumlin/segment"
)

// faultyObjects fails the call with the given number, and can change what is read.
type faultyObjects struct {
	ExecutorObjects
	calls  atomic.Int64
	failAt int64
	fault  error
	change func(key string, data []byte) []byte
}

func (f *faultyObjects) Put(ctx context.Context, key string, body io.ReaderAt, size int64, sha256 string) error {
	if f.calls.Add(1) == f.failAt {
		return f.fault
	}
	return f.ExecutorObjects.Put(ctx, key, body, size, sha256)
}

func (f *faultyObjects) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if f.calls.Add(1) == f.failAt {
		return nil, f.fault
	}
	body, err := f.ExecutorObjects.Get(ctx, key, offset, length)
	if err != nil || f.change == nil {
		return body, err
	}
	data, err := io.ReadAll(body)
	return io.NopCloser(bytes.NewReader(f.change(key, data))), errors.Join(err, body.Close())
}

func (l *execLake) executor(o ExecutorObjects, points *failpoint.Set) *Executor {
	l.t.Helper()
	e, err := NewExecutor(ExecutorOptions{Objects: o, TempDir: l.t.TempDir(), Allocator: l.mem, Failpoints: points})
	if err != nil {
		l.t.Fatal(err)
	}
	e.o.MaxMemoryBytes = 16 << 10
	return e
}

// smallLake has settled segments, a tail and a sidecar.
func smallLake(t testing.TB, folds bool) *execLake {
	rng := rand.New(rand.NewPCG(1, 20))
	schemas := execSchemas(t, true, folds, segment.TimeColumn)
	l := newExecLake(t, schemas, nil, 16<<10)
	if folds {
		l.plan = execRollup(t, rng, "event", "user")
	}
	log := execLog(rng, 6, 300, true)
	for _, rows := range log[:3] {
		l.handoff(rows)
	}
	l.job.MaxRowsPerSegment = 100
	l.run(ModeFull, l.tail)
	for _, rows := range log[3:] {
		l.handoff(rows)
	}
	return l
}

// TestEveryCallOfTheStoreMayFail: the error comes out, nothing leaks, and the next attempt succeeds.
func TestEveryCallOfTheStoreMayFail(t *testing.T) {
	boom := errors.New("boom")
	for _, folds := range []bool{false, true} {
		l := smallLake(t, folds)
		failed := 0
		for n := int64(1); ; n++ {
			f := &faultyObjects{ExecutorObjects: l.store, failAt: n, fault: boom}
			_, err := l.try(t.Context(), l.executor(f, nil), ModeFull, l.tail)
			if err == nil {
				break
			}
			if failed++; !errors.Is(err, boom) || errors.Is(err, context.Canceled) {
				t.Fatalf("call %d: %v", n, err)
			}
		}
		if failed < 8 {
			t.Errorf("only %d calls could fail", failed)
		}
		unknown := &faultyObjects{ExecutorObjects: l.store, failAt: int64(failed), fault: objectstore.ErrUnknown}
		if _, err := l.try(t.Context(), l.executor(unknown, nil), ModeFull, l.tail); err != nil {
			t.Errorf("an upload with an unknown outcome is not repeated: %v", err)
		}
	}
}

// TestMissingInputIsTold: the planner has to look again.
func TestMissingInputIsTold(t *testing.T) {
	l := smallLake(t, true)
	for _, object := range []string{l.tail[1].Object, l.settled[0].Object, l.sidecars[0].Object} {
		f := &faultyObjects{ExecutorObjects: l.store}
		if err := l.store.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		if _, err := l.try(t.Context(), l.executor(f, nil), ModeFull, l.tail); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("without %s: %v", object, err)
		}
	}
}

// TestNoDamageIsLaundered: any byte of any input that changes, and any that is missing, is an error and not a new file.
func TestNoDamageIsLaundered(t *testing.T) {
	l := smallLake(t, true)
	objects := []string{l.tail[0].Object, l.settled[0].Object, l.sidecars[0].Object}
	rng := rand.New(rand.NewPCG(1, 21))
	for _, object := range objects {
		for range testkit.Rounds(60, 15) {
			size := len(l.object(object))
			at, bit, cut := rng.IntN(size), byte(1)<<rng.IntN(8), rng.IntN(4) == 0
			f := &faultyObjects{ExecutorObjects: l.store, change: func(key string, data []byte) []byte {
				if key != object {
					return data
				}
				if cut {
					return data[:at]
				}
				data[at] ^= bit
				return data
			}}
			if _, err := l.try(t.Context(), l.executor(f, nil), ModeFull, l.tail); !errors.Is(err, segment.ErrCorrupt) {
				t.Fatalf("%s with byte %d of %d changed (cut: %t): %v", object, at, size, cut, err)
			}
		}
	}
}

// TestDescriptionsAreHeldAgainstTheirObjects: a sound object under a wrong description is not used.
func TestDescriptionsAreHeldAgainstTheirObjects(t *testing.T) {
	l := smallLake(t, true)
	swap := func(change func(tail []catalog.TailSegment, sidecars []catalog.Sidecar)) error {
		tail, sidecars := slices.Clone(l.tail), slices.Clone(l.sidecars)
		was := l.sidecars
		change(tail, sidecars)
		l.sidecars = sidecars
		defer func() { l.sidecars = was }()
		_, err := l.try(t.Context(), l.exec, ModeFull, tail)
		return err
	}
	for name, change := range map[string]func(tail []catalog.TailSegment, sidecars []catalog.Sidecar){
		"rows":            func(tail []catalog.TailSegment, _ []catalog.Sidecar) { tail[0].Rows++ },
		"folded":          func(tail []catalog.TailSegment, _ []catalog.Sidecar) { tail[0].Folded, tail[0].Events = true, 5 },
		"rows of ids":     func(_ []catalog.TailSegment, s []catalog.Sidecar) { s[0].Rows-- },
		"ids are a table": func(tail []catalog.TailSegment, s []catalog.Sidecar) { s[0] = sidecarOf(tail[0]) },
		"bytes":           func(tail []catalog.TailSegment, _ []catalog.Sidecar) { tail[0].Bytes-- },
		"no bytes":        func(tail []catalog.TailSegment, _ []catalog.Sidecar) { tail[0].Bytes = 0 },
	} {
		if err := swap(change); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func sidecarOf(s catalog.TailSegment) catalog.Sidecar {
	return catalog.Sidecar{Bucket: s.Bucket, Object: s.Object, Bytes: s.Bytes, SHA256: s.SHA256, Rows: s.Rows}
}

// TestUnsortedSidecarsAreRefused: identities could be missed in them.
func TestUnsortedSidecarsAreRefused(t *testing.T) {
	l := smallLake(t, true)
	x, err := l.exec.begin(&Job{
		Datasource: "clicks", Schema: l.schema, Mode: ModeFull, Buckets: l.buckets(), Definition: l.plan, Sidecars: l.sidecars,
	}, Naming{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer x.end()
	ctx := x.writers.start(t.Context())
	w := newSidecarWriter(x)
	defer w.abort()
	for _, hi := range []int64{1, 3, 2} {
		if err := w.add(ctx, hi, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.finish(ctx, x); err != nil {
		t.Fatal(err)
	}
	if err := x.writers.wait(); err != nil {
		t.Fatal(err)
	}
	l.sidecars = append(l.sidecars, x.ids.sidecars...)
	if _, err := l.try(t.Context(), l.exec, ModeFull, l.tail); !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("a sidecar out of order: %v", err)
	}
}

// TestCancelling stops a job wherever it is, without a trace in memory or in the directory.
func TestCancelling(t *testing.T) {
	for _, folds := range []bool{false, true} {
		l := smallLake(t, folds)
		e := l.executor(l.store, nil)
		steps := 0
		for n := 0; ; n++ {
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			j := Job{
				Datasource: "clicks", Schema: l.schema, Mode: ModeFull, Buckets: l.buckets(), Definition: l.plan,
				Settled: l.settled, Tail: l.tail, Sidecars: l.sidecars, MaxRowsPerSegment: 100,
			}
			var last, total int64
			_, err := e.Run(ctx, &j, Naming{Incarnation: "abc", Epoch: 7}, func(done, all int64) {
				if calls == n {
					cancel()
				}
				if calls++; done < last || done > all {
					t.Errorf("progress goes from %d to %d of %d", last, done, all)
				}
				last, total = done, all
			})
			cancel()
			if err == nil {
				if last != total || total == 0 {
					t.Errorf("progress ends at %d of %d", last, total)
				}
				break
			}
			if steps++; !errors.Is(err, context.Canceled) {
				t.Fatalf("cancelled at step %d: %v", n, err)
			}
		}
		if steps < 5 {
			t.Errorf("only %d steps could be cancelled", steps)
		}
		left, err := os.ReadDir(e.o.TempDir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the directory: %v %v", left, err)
		}
	}
}

func TestFailpoints(t *testing.T) {
	boom := errors.New("boom")
	l := smallLake(t, true)
	for _, name := range []string{"compact.before_upload", "compact.after_upload"} {
		points := failpoint.New()
		points.Arm(name, 1, func(string) error { return boom })
		if _, err := l.try(t.Context(), l.executor(l.store, points), ModeFull, l.tail); !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongJobsAreRefused(t *testing.T) {
	l := smallLake(t, true)
	sound := Job{
		Datasource: "clicks", Schema: l.schema, Mode: ModeFull, Buckets: l.buckets(), Definition: l.plan,
		Settled: l.settled, Tail: l.tail, Sidecars: l.sidecars,
	}
	for name, change := range map[string]func(j *Job){
		"mode":                 func(j *Job) { j.Mode = ModeAdopt },
		"no schema":            func(j *Job) { j.Schema = nil },
		"no buckets":           func(j *Job) { j.Buckets = nil },
		"a gap":                func(j *Job) { j.Buckets = []segment.Bucket{j.Buckets[0], j.Buckets[2]} },
		"limits":               func(j *Job) { j.MaxRowsPerSegment = -1 },
		"folded in a raw plan": func(j *Job) { j.Definition = nil },
		"ranges of nothing":    func(j *Job) { j.PartitionDimensions = []string{"nothing"} },
		"times outside":        func(j *Job) { j.Buckets, j.Chunk = j.Buckets[:3], execGranularity(t, "hour") },
	} {
		j := sound
		change(&j)
		if out, err := l.exec.Run(t.Context(), &j, Naming{Incarnation: "abc", Epoch: 7}, nil); err == nil {
			t.Errorf("%s: %+v", name, out)
		}
	}
	for _, o := range []ExecutorOptions{{}, {Objects: l.store}, {TempDir: t.TempDir()}, {Objects: l.store, TempDir: t.TempDir(), MaxMemoryBytes: 1}} {
		if _, err := NewExecutor(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// TestRanges: equal tuples never lie in two segments, segments follow each other in the order of the dimensions, and are as full
// as whole tuples allow.
func TestRanges(t *testing.T) {
	for seed := range uint64(testkit.Rounds(6, 2)) {
		rng := rand.New(rand.NewPCG(seed, 22))
		folds := rng.IntN(2) == 0
		dimensions := [][]string{{"user"}, {"event", "user"}, {"user", "event"}}[rng.IntN(3)]
		schemas := execSchemas(t, true, folds, segment.TimeColumn)
		log := execLog(rng, 1+rng.IntN(6), 400, true)
		limits := Job{MaxRowsPerSegment: int64(20 + rng.IntN(200)), PartitionDimensions: dimensions}
		if rng.IntN(2) == 0 {
			limits.Chunk = execGranularity(t, "hour")
		}
		var sums [2]string
		plan := execRollup(t, rng, "event", "user")
		for i, maxMemoryBytes := range []int64{0, 12 << 10} {
			l := newExecLake(t, schemas, nil, maxMemoryBytes)
			if folds {
				l.plan = plan
			}
			l.job = limits
			for _, rows := range log {
				l.handoff(rows)
			}
			out := l.run(ModeFull, l.tail)
			checkRanges(t, fmt.Sprintf("seed %d, %d bytes", seed, maxMemoryBytes), l, out)
			sums[i] = fmt.Sprint(l.sums(out.Settled))
		}
		if sums[0] != sums[1] {
			t.Errorf("seed %d: spilling changes what is written", seed)
		}
	}
}

func checkRanges(t *testing.T, name string, l *execLake, out *Output) {
	t.Helper()
	type tuple [4]string
	tuples := map[segment.Bucket]map[tuple]int{} // rows by chunk and tuple
	var last tuple
	for i, rows := range l.rows(out.Settled) {
		m := out.Settled[i]
		if tuples[m.Bucket] == nil {
			tuples[m.Bucket], last = map[tuple]int{}, tuple{}
		}
		here := map[tuple]int{}
		var least, most tuple
		for _, row := range rows {
			values := rowValues(row)
			var key tuple
			for d, dimension := range l.job.PartitionDimensions {
				if v, ok := values[dimension]; ok {
					key[2*d], key[2*d+1] = "1", v
				}
			}
			if here[key]++; len(here) == 1 && here[key] == 1 {
				least, most = key, key
			}
			if slices.Compare(key[:], least[:]) < 0 {
				least = key
			}
			if slices.Compare(key[:], most[:]) > 0 {
				most = key
			}
		}
		for key := range here {
			if tuples[m.Bucket][key] > 0 {
				t.Errorf("%s: %v lies in two segments", name, key)
			}
			tuples[m.Bucket][key] = here[key]
		}
		if first := last == (tuple{}); !first {
			if slices.Compare(least[:], last[:]) <= 0 {
				t.Errorf("%s: segment %d begins with %v after %v", name, i, least, last)
			}
			if before := out.Settled[i-1]; before.Bucket == m.Bucket && before.Rows+int64(here[least]) <= l.job.MaxRowsPerSegment {
				t.Errorf("%s: segment %d could have held %v", name, i-1, least)
			}
		}
		if m.Rows > l.job.MaxRowsPerSegment && len(here) > 1 {
			t.Errorf("%s: a segment of %d rows and %d tuples", name, m.Rows, len(here))
		}
		last = most
	}
}

// rowValues are the dimensions of a row that was read back.
func rowValues(row string) map[string]string {
	values := map[string]string{}
	text := foldedTexts([]string{row})[0]
	for _, name := range []string{"event", "user"} {
		if v, ok := cutValue(text, name); ok {
			values[name] = v
		}
	}
	return values
}

func cutValue(text, name string) (string, bool) {
	at := bytes.Index([]byte(" "+text), []byte(" "+name+"="))
	if at < 0 {
		return "", false
	}
	v := text[at+len(name)+1:]
	for _, next := range []string{" user=", " n=", " most=", " x="} {
		if end := bytes.Index([]byte(v), []byte(next)); end >= 0 {
			v = v[:end]
		}
	}
	return v, true
}
