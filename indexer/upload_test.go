package indexer

import (
	"errors"
	"math/rand/v2"
	"testing"

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
