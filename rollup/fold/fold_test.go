package fold

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/rollup"
	"drumlin/segment"
)

var dimensionSets = [][]string{
	{"text", "long", "double", "float", "json"},
	{"text"},
	{"double", "float"},
	{"json", "text", "long"},
	{},
}

var sortSets = [][]string{nil, {"text", "__time"}, {"__time"}, {"text", "__time", "long"}}

const textFilter = `{"type":"or","fields":[{"type":"selector","dimension":"text","value":null},
	{"type":"bound","dimension":"text","lower":"a","upper":"b"}]}`

// folded folds the rows along a random tree: split, fold, perhaps flush and fold again, in any order.
func folded(t *testing.T, rng *rand.Rand, mem memory.Allocator, p *rollup.BucketPlan, s *segment.Schema, rows []testRow) []arrow.RecordBatch {
	t.Helper()
	f, err := New(p, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	for len(rows) > 0 {
		n := 1 + rng.IntN(len(rows))
		if rng.IntN(3) > 0 {
			add(t, rng, mem, f, s, rows[:n])
		} else {
			batches := folded(t, rng, mem, p, s, rows[:n])
			for _, b := range batches {
				if err := f.AddFolded(b); err != nil {
					t.Fatal(err)
				}
			}
			release(batches)
		}
		rows = rows[n:]
	}
	return flushed(t, f, 1+rng.IntN(500))
}

// add adds rows as one record, with rows among them that are to be left out.
func add(t *testing.T, rng *rand.Rand, mem memory.Allocator, f *Folder, s *segment.Schema, rows []testRow) {
	t.Helper()
	var drop []bool
	if rng.IntN(2) == 0 {
		extra := randomRows(rng, rng.IntN(20))
		rows = append(append([]testRow{}, rows...), extra...)
		drop = make([]bool, len(rows))
		for i := range extra {
			drop[len(rows)-1-i] = true
		}
		rng.Shuffle(len(rows), func(i, k int) {
			rows[i], rows[k] = rows[k], rows[i]
			drop[i], drop[k] = drop[k], drop[i]
		})
	}
	rec := rawRecord(mem, s, rows)
	defer rec.Release()
	skip := rng.IntN(len(rows) + 1)
	for _, part := range [][2]int{{0, skip}, {skip, len(rows)}} { // slices begin at odd bits
		slice := rec.NewSlice(int64(part[0]), int64(part[1]))
		var marks []bool
		if drop != nil {
			marks = drop[part[0]:part[1]]
		}
		err := f.AddRows(rollup.Rows{Record: slice}, marks)
		slice.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnySplitGivesEqualRows: any split of the rows into folders, flushed and folded again in any order, gives equal rows
// in equal order, states included.
func TestAnySplitGivesEqualRows(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	for seed := range uint64(20) {
		var mem memory.Allocator = memory.DefaultAllocator
		if seed < 5 { // it is slow
			mem = checked
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		filter := ""
		dimensions := dimensionSets[rng.IntN(len(dimensionSets))]
		sortBy := sortSets[rng.IntN(len(sortSets))]
		if len(dimensions) == 0 || dimensions[0] == "double" {
			sortBy = nil
		} else if rng.IntN(2) == 0 {
			filter = textFilter
		}
		if len(dimensions) == 1 && len(sortBy) == 3 {
			sortBy = nil
		}
		d := definition(t, []string{"", "second", "hour", "month"}[rng.IntN(4)], allMetrics, dimensions, sortBy, filter)
		s := testSchema(t, d.Metrics)
		p := compile(t, d, s)
		rows := randomRows(rng, rng.IntN(1500))
		whole := one(t, mem, p.FoldedSchema(), folded(t, rand.New(rand.NewPCG(0, 0)), mem, p, s, rows))
		for range 3 {
			rng.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
			again := one(t, mem, p.FoldedSchema(), folded(t, rng, mem, p, s, rows))
			if diff := difference(whole, again); diff != "" {
				t.Fatalf("seed %d: %d rows, split otherwise: %s", seed, len(rows), diff)
			}
			again.Release()
		}
		whole.Release()
	}
}
