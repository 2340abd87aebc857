package compaction

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// execRow is one record, as the oracle knows it.
type execRow struct {
	hi, lo int64
	keyed  bool
	segment.Position
	millis      int64
	event, user *string
	n           *int64
	x           *float64
	old         bool    // written under the first schema, which has no user and no x
	gone        *string // of old rows only: no spec fills it any more
}

func execRecord(s *arrow.Schema, rows []execRow) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	for i, f := range s.Fields() {
		for _, r := range rows {
			switch b := b.Field(i).(type) {
			case *array.TimestampBuilder:
				b.Append(arrow.Timestamp(r.millis * 1000))
			case *array.Int64Builder:
				v, ok := r.long(f.Name)
				if !ok {
					b.AppendNull()
				} else {
					b.Append(v)
				}
			case *array.Int32Builder:
				b.Append(map[string]int32{segment.GenerationColumn: r.Generation, segment.PartitionColumn: r.Partition}[f.Name])
			case *array.StringBuilder:
				if v := r.text(f.Name); v == nil {
					b.AppendNull()
				} else {
					b.Append(*v)
				}
			case *array.Float64Builder:
				if r.x == nil {
					b.AppendNull()
				} else {
					b.Append(*r.x)
				}
			default:
				b.AppendNull()
			}
		}
	}
	return b.NewRecordBatch()
}

func (r *execRow) long(name string) (int64, bool) {
	switch name {
	case segment.IDHighColumn:
		return r.hi, r.keyed
	case segment.IDLowColumn:
		return r.lo, r.keyed
	case segment.OffsetColumn:
		return r.Offset, true
	}
	if r.n == nil {
		return 0, false
	}
	return *r.n, true
}

func (r *execRow) text(name string) *string {
	switch name {
	case segment.TopicColumn:
		return &r.Topic
	case segment.KeyColumn:
		if r.keyed {
			key := fmt.Sprint(r.hi, r.lo)
			return &key
		}
		return nil
	case "event":
		return r.event
	case "gone":
		return r.gone
	}
	return r.user
}

// execLog makes a random log: a list of handoffs, each of one partition. Copies occur inside a handoff, later in the partition,
// and in other partitions; differ says that they may differ in content.
func execLog(rng *rand.Rand, handoffs, maxRows int, differ bool) [][]execRow {
	var made []execRow
	next := map[segment.Position]int64{}
	var out [][]execRow
	for range handoffs {
		at := segment.Position{
			Topic: []string{"a", "clicks", "b"}[rng.IntN(3)], Generation: int32(rng.IntN(2)), Partition: int32(rng.IntN(3)),
		}
		rows := make([]execRow, 1+rng.IntN(maxRows))
		old := rng.IntN(4) == 0
		for i := range rows {
			r := randomExecRow(rng)
			if len(made) > 0 && rng.IntN(4) == 0 {
				was := made[rng.IntN(len(made))]
				if was.keyed && was.old == old {
					if !differ {
						r = was
					}
					// A copy has its bucket, which here is not told from the group.
					r.hi, r.lo, r.keyed = was.hi, was.lo, true
				}
			}
			next[at] += 1 + int64(rng.IntN(3))
			r.Position, r.old = at, old
			r.Offset = next[at]
			if old {
				r.user, r.x, r.gone = nil, nil, &r.Topic
			}
			rows[i] = r
			made = append(made, r)
		}
		out = append(out, rows)
	}
	return out
}

func randomExecRow(rng *rand.Rand) execRow {
	r := execRow{keyed: rng.IntN(10) > 0, millis: execStart + rng.Int64N(4*execHour)}
	r.hi, r.lo = int64(rng.Uint64()), int64(rng.Uint64())
	switch rng.IntN(8) {
	case 0:
		r.hi = int64(rng.IntN(3)) - 1 // the lower half decides
	case 1:
		r.lo = 0
	}
	if rng.IntN(8) > 0 {
		v := []string{"", "view", "click", "purchase", "purchase-refunded", "purchase-repeated"}[rng.IntN(6)]
		r.event = &v
	}
	if rng.IntN(8) > 0 {
		v := fmt.Sprintf("user %d", rng.IntN(40))
		r.user = &v
	}
	if rng.IntN(8) > 0 {
		v := rng.Int64N(100) - 50
		r.n = &v
	}
	if rng.IntN(8) > 0 {
		v := float64(rng.IntN(64)) / 4 // sums are exact
		r.x = &v
	}
	return r
}

func comparePositions(a, b segment.Position) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Partition, b.Partition),
		cmp.Compare(a.Offset, b.Offset))
}

// execWinners is the oracle: of the copies of an identity the one with the lowest position, and every row without a key.
func execWinners(log [][]execRow) []execRow {
	best := map[[2]int64]execRow{}
	var out []execRow
	for _, rows := range log {
		for _, r := range rows {
			if !r.keyed {
				out = append(out, r)
				continue
			}
			id := [2]int64{r.hi, r.lo}
			if was, ok := best[id]; !ok || comparePositions(r.Position, was.Position) < 0 {
				best[id] = r
			}
		}
	}
	for _, r := range best {
		out = append(out, r)
	}
	return out
}

func execCount(log [][]execRow) (n int64) {
	for _, rows := range log {
		n += int64(len(rows))
	}
	return n
}

// execOrder compares rows by names of columns, then by position.
func execOrder(sortBy []string) func(a, b execRow) int {
	text := func(a, b *string) int {
		switch {
		case a == nil && b == nil:
			return 0
		case a == nil:
			return -1
		case b == nil:
			return 1
		}
		return cmp.Compare(*a, *b)
	}
	return func(a, b execRow) int {
		for _, name := range sortBy {
			var c int
			switch name {
			case segment.TimeColumn:
				c = cmp.Compare(a.millis, b.millis)
			case "event":
				c = text(a.event, b.event)
			case "user":
				c = text(a.user, b.user)
			case "n":
				c = compareNullable(a.n, b.n)
			case "x":
				c = compareNullable(a.x, b.x)
			}
			if c != 0 {
				return c
			}
		}
		return comparePositions(a.Position, b.Position)
	}
}

func compareNullable[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}

// execShow gives rows the form in which files are read back.
func execShow(t testing.TB, s *arrow.Schema, rows []execRow) []string {
	t.Helper()
	if len(rows) == 0 {
		return nil
	}
	rec := execRecord(s, rows)
	defer rec.Release()
	var file bytes.Buffer
	w, err := segment.NewWriter(&file, segment.WriterOptions{Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(context.Background(), rec); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return execTexts(t, "the oracle's", file.Bytes())
}
