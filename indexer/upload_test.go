package indexer

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/objectstore"
	"drumlin/objectstore/faulty"
	"drumlin/objectstore/mem"
)

// TestBuildWithFaultsOfTheStore: an unknown outcome is tried again under the same name, a failure ends the handoff, and
// what was uploaded before it is left alone.
func TestBuildWithFaultsOfTheStore(t *testing.T) {
	for _, test := range []struct {
		faults string
		want   error
	}{
		{"lose-reply put nth=2", nil},
		{"unknown put nth=1\nlose-reply put nth=3", nil},
		{"unknown put times=0", objectstore.ErrUnknown},
		{"fail put nth=3", faulty.ErrInjected},
	} {
		checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
		rng := rand.New(rand.NewPCG(4, 4))
		schema := testSchema(rng)
		rows := randomRows(rng, schema, 400)
		batches := makeBatches(checked, rng, schema, rows)
		inner := mem.New()
		store, err := faulty.New(inner, test.faults)
		if err != nil {
			t.Fatal(err)
		}
		r := testRequest(t, schema, batches, nil)
		result, err := testIndexer(t, store, checked, nil).Build(t.Context(), r)
		if !errors.Is(err, test.want) || store.Fired() == 0 {
			t.Errorf("%s: %v after %d faults", test.faults, err, store.Fired())
		}
		uploaded := 0
		if err := inner.List(t.Context(), "", func(objectstore.Info) bool { uploaded++; return true }); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			checkResult(t, schema, r, result, rows, readBack(t, inner, result))
			if uploaded != len(result.Segments) {
				t.Errorf("%s: %d objects of %d segments", test.faults, uploaded, len(result.Segments))
			}
		}
		releaseBatches(batches)
		checked.AssertSize(t, 0)
	}
}

// gathering answers no upload before so many are under way at once.
type gathering struct {
	want int
	all  chan struct{} // closed when they are

	mu    sync.Mutex
	begun int
}

func (g *gathering) Put(ctx context.Context, _ string, _ io.ReaderAt, _ int64, _ string) error {
	g.mu.Lock()
	if g.begun++; g.begun == g.want {
		close(g.all)
	}
	g.mu.Unlock()
	select {
	case <-g.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestSlowUploadsDoNotHoldUpWriting: one segment is written at a time, and the next are, while uploads wait.
func TestSlowUploadsDoNotHoldUpWriting(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	rng := rand.New(rand.NewPCG(5, 5))
	schema := testSchema(rng)
	batches := makeBatches(checked, rng, schema, randomRows(rng, schema, 1000))
	defer releaseBatches(batches)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	store := &gathering{want: 1 + uploadsAtOnce, all: make(chan struct{})}
	ix := testIndexer(t, store, checked, nil)
	ix.parallel = 1
	r := testRequest(t, schema, batches, nil)
	r.MaxRowsPerSegment = 20
	if _, err := ix.Build(ctx, r); err != nil {
		t.Error(err)
	}
}
