package rows

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// keyed is a row with 64 bits of the column being sorted by.
type keyed[R Ref] struct {
	key uint64
	ref R
}

// Sorter sorts rows by several columns without comparing values: it takes 64 bits of a column at a time as an unsigned
// number that orders as the values do, sorts by it, and goes on with the next bits, or the next column, only inside runs
// of equal numbers. Nulls come first, texts order by their bytes, NaN comes last and zero has one sign; rows that are equal in
// all columns stay as they stand in the batches. It is used by one goroutine, and keeps its scratch from one Sort to the
// next.
type Sorter[R Ref] struct {
	columns []sortColumn[R]
	rows    []keyed[R]
	scratch []keyed[R]
}

// ScratchBytesPerRow is what a Sorter takes beside the references themselves.
const ScratchBytesPerRow = 32

// sortColumn gives the key of one row. For texts, depth is the number of bytes sorted by already, and more says that
// texts with this key go on.
type sortColumn[R Ref] struct {
	key  func(ref R, depth int) uint64
	null func(ref R) bool // nil: never
	text bool
}

// textStep is how many bytes of a text one key holds; its lowest byte tells how many there are.
const (
	textStep = 7
	textMore = textStep + 2 // 0: null, 1+n: n bytes left, 9: more than textStep
)

// NewSorter sorts by the given columns, the first one first; each is one array per batch, all of one type.
func NewSorter[R Ref](columns [][]arrow.Array) (*Sorter[R], error) {
	out := &Sorter[R]{}
	for _, column := range columns {
		if len(column) == 0 {
			continue // no batch, no row
		}
		c, err := newSortColumn[R](column)
		if err != nil {
			return nil, err
		}
		out.columns = append(out.columns, c)
	}
	return out, nil
}

func newSortColumn[R Ref](columns []arrow.Array) (sortColumn[R], error) {
	var c sortColumn[R]
	for _, a := range columns {
		if a.Data().Buffers()[0] != nil {
			c.null = func(ref R) bool {
				batch, row := Split(ref)
				return columns[batch].IsNull(row)
			}
			break
		}
	}
	switch t := columns[0].DataType(); t.ID() {
	case arrow.STRING:
		c.text, c.key = true, textKeys[R](columns)
		c.null = nil // the key says it
	case arrow.FLOAT64:
		c.key = keysOf[R](columns, func(a *array.Float64) []float64 { return a.Values() }, doubleKey)
	case arrow.FLOAT32:
		c.key = keysOf[R](columns, func(a *array.Float32) []float32 { return a.Values() },
			func(v float32) uint64 { return doubleKey(float64(v)) })
	case arrow.TIMESTAMP:
		c.key = keysOf[R](columns, func(a *array.Timestamp) []arrow.Timestamp { return a.Values() },
			func(v arrow.Timestamp) uint64 { return longKey(int64(v)) })
	case arrow.INT64:
		c.key = keysOf[R](columns, func(a *array.Int64) []int64 { return a.Values() }, longKey)
	case arrow.INT32:
		c.key = keysOf[R](columns, func(a *array.Int32) []int32 { return a.Values() },
			func(v int32) uint64 { return longKey(int64(v)) })
	default:
		return c, fmt.Errorf("rows cannot be sorted by a column of type %s", t)
	}
	return c, nil
}

func keysOf[R Ref, A arrow.Array, V any](columns []arrow.Array, values func(A) []V, key func(V) uint64) func(R, int) uint64 {
	all := make([][]V, len(columns))
	for i, a := range columns {
		all[i] = values(a.(A))
	}
	return func(ref R, _ int) uint64 {
		batch, row := Split(ref)
		return key(all[batch][row])
	}
}

func longKey(v int64) uint64 { return uint64(v) ^ 1<<63 }

// doubleKey orders as SQL does: −0 equals 0, and NaN is the greatest.
func doubleKey(v float64) uint64 {
	b := math.Float64bits(v)
	switch {
	case math.IsNaN(v):
		return math.MaxUint64
	case v < 0:
		return ^b
	}
	return b | 1<<63 // which −0 has already
}

func textKeys[R Ref](columns []arrow.Array) func(R, int) uint64 {
	texts := make([]*array.String, len(columns))
	for i, a := range columns {
		texts[i] = a.(*array.String)
	}
	return func(ref R, depth int) uint64 {
		batch, row := Split(ref)
		if texts[batch].IsNull(row) {
			return 0
		}
		return textKey(texts[batch].Value(row)[depth:])
	}
}

// textKey holds the first seven bytes of a text and, in its lowest byte, how many there are.
func textKey(s string) uint64 {
	if len(s) > textStep {
		return uint64(s[0])<<56 | uint64(s[1])<<48 | uint64(s[2])<<40 | uint64(s[3])<<32 |
			uint64(s[4])<<24 | uint64(s[5])<<16 | uint64(s[6])<<8 | textMore
	}
	key := uint64(len(s) + 1)
	for i := range len(s) {
		key |= uint64(s[i]) << (56 - 8*i)
	}
	return key
}

// Sort orders the rows, which come as they stand in the batches: by ascending reference.
func (s *Sorter[R]) Sort(ctx context.Context, rows []R) error {
	s.rows = slices.Grow(s.rows[:0], len(rows))[:len(rows)]
	s.scratch = slices.Grow(s.scratch[:0], len(rows))[:len(rows)]
	for i, ref := range rows {
		s.rows[i].ref = ref
	}
	if err := s.sortBy(ctx, 0, len(rows), 0, 0); err != nil {
		return err
	}
	for i := range rows {
		rows[i] = s.rows[i].ref
	}
	return nil
}

// sortBy orders rows[from:to], which are equal in all that comes before this depth of this column.
func (s *Sorter[R]) sortBy(ctx context.Context, from, to, column, depth int) error {
	for to-from > 1 && column < len(s.columns) {
		c := &s.columns[column]
		if c.null != nil && depth == 0 {
			nulls := s.nullsFirst(from, to, c.null)
			if err := s.sortBy(ctx, from, from+nulls, column+1, 0); err != nil {
				return err
			}
			from += nulls
		}
		rows := s.rows[from:to]
		for i := range rows {
			rows[i].key = c.key(rows[i].ref, depth)
		}
		if !ordered(rows) {
			sortKeyed(rows, s.scratch[from:to])
		}
		if len(rows) == 0 || rows[0].key != rows[len(rows)-1].key {
			return s.sortRuns(ctx, from, to, column, depth)
		}
		column, depth = c.next(rows[0].key, column, depth) // one run: go on without a call
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// sortRuns goes on inside each run of rows with equal keys.
func (s *Sorter[R]) sortRuns(ctx context.Context, from, to, column, depth int) error {
	for start := from; start < to; {
		key := s.rows[start].key
		end := start + 1
		for end < to && s.rows[end].key == key {
			end++
		}
		if end-start > 1 {
			nextColumn, nextDepth := s.columns[column].next(key, column, depth)
			if err := s.sortBy(ctx, start, end, nextColumn, nextDepth); err != nil {
				return err
			}
		}
		start = end
	}
	return nil
}

// next says where to go on inside a run of equal keys.
func (c *sortColumn[R]) next(key uint64, column, depth int) (nextColumn, nextDepth int) {
	if c.text && key&0xff == textMore {
		return column, depth + textStep
	}
	return column + 1, 0
}

// nullsFirst moves the rows without a value to the front, both parts in order, and counts them.
func (s *Sorter[R]) nullsFirst(from, to int, null func(R) bool) int {
	rows, rest := s.rows[from:to], s.scratch[from:from]
	n := 0
	for _, r := range rows {
		if null(r.ref) {
			rows[n] = r
			n++
		} else {
			rest = append(rest, r)
		}
	}
	copy(rows[n:], rest)
	return n
}

func ordered[R Ref](rows []keyed[R]) bool {
	for i := 1; i < len(rows); i++ {
		if rows[i].key < rows[i-1].key {
			return false
		}
	}
	return true
}

// smallRun is where counting digits begins to pay.
const smallRun = 256

// sortKeyed sorts by key; rows of equal keys, which come by ascending reference, stay so.
func sortKeyed[R Ref](rows, scratch []keyed[R]) {
	if len(rows) < smallRun {
		slices.SortFunc(rows, func(a, b keyed[R]) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.ref, b.ref))
		})
		return
	}
	var counts [8][256]int
	for _, r := range rows {
		for digit := range counts {
			counts[digit][byte(r.key>>(8*digit))]++
		}
	}
	from, to := rows, scratch
	for digit := range counts {
		count := &counts[digit]
		shift := 8 * digit
		if count[byte(rows[0].key>>shift)] == len(rows) {
			continue // all rows have this byte
		}
		sum := 0
		for i, n := range count {
			count[i] = sum
			sum += n
		}
		for _, r := range from {
			d := byte(r.key >> shift)
			to[count[d]] = r
			count[d]++
		}
		from, to = to, from
	}
	if &from[0] != &rows[0] {
		copy(rows, from)
	}
}
