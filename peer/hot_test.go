package peer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	hourMillis = 3_600_000
	baseMillis = 1767225600000 // 2026-01-01T00:00:00Z
)

// schemas are versions of one datasource: the second has a column more.
func schemas(dedup bool, key string) []*segment.Schema {
	columns := []segment.Column{
		{ID: 100, Name: "id", Type: segment.TypeString},
		{ID: 101, Name: "n", Type: segment.TypeLong},
		{ID: 102, Name: "d", Type: segment.TypeDouble},
		{ID: 103, Name: "f", Type: segment.TypeFloat},
		{ID: 104, Name: "j", Type: segment.TypeJSON},
	}
	one := &segment.Schema{ID: 1, Columns: columns[:4], Dimensions: []string{"n", "id", "d", "f"}, Dedup: dedup, KeyColumn: key}
	two := &segment.Schema{ID: 2, Columns: columns, Dimensions: []string{"id", "n", "j", "d", "f"}, Dedup: dedup, KeyColumn: key}
	return []*segment.Schema{one, two}
}

// maker makes batches of random rows.
type maker struct {
	rnd *rand.Rand
	mem memory.Allocator
}

// batch has rows at ascending offsets from `from` on, with gaps.
func (m *maker) batch(layout *arrow.Schema, schemaID int32, from int64, rows int, spreadMillis int64) segment.HotBatch {
	b := array.NewRecordBuilder(m.mem, layout)
	defer b.Release()
	out := segment.HotBatch{SchemaID: schemaID}
	counts := map[int64]*segment.BucketRows{}
	at := from + m.rnd.Int64N(3)
	for row := range rows {
		millis := baseMillis + m.rnd.Int64N(spreadMillis)
		if row == 0 {
			out.FromOffset, out.MinMillis, out.MaxMillis = at, millis, millis
		}
		out.MinMillis, out.MaxMillis, out.ToOffset = min(out.MinMillis, millis), max(out.MaxMillis, millis), at+1
		hour := millis - millis%hourMillis
		if counts[hour] == nil {
			counts[hour] = &segment.BucketRows{Bucket: segment.Bucket{StartMillis: hour, EndMillis: hour + hourMillis}}
		}
		counts[hour].Rows++
		counts[hour].Bytes += 100
		for i, f := range layout.Fields() {
			m.value(b.Field(i), f, at, millis)
		}
		at += 1 + m.rnd.Int64N(2)
	}
	for _, c := range counts {
		out.Buckets = append(out.Buckets, *c)
	}
	slices.SortFunc(out.Buckets, func(a, b segment.BucketRows) int { return int(a.Bucket.StartMillis - b.Bucket.StartMillis) })
	out.Record = b.NewRecordBatch()
	return out
}

var texts = []string{"", "a", "käse", "日本語のテキスト", "\x00", "a longer text that takes more than twelve bytes", `{"a": [1, 2]}`}

func (m *maker) value(to array.Builder, f arrow.Field, offset, millis int64) {
	if f.Nullable && m.rnd.IntN(5) == 0 {
		to.AppendNull()
		return
	}
	switch b := to.(type) {
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(millis * 1000))
	case *array.Int64Builder:
		if f.Name == segment.OffsetColumn {
			b.Append(offset)
		} else {
			b.Append(int64(m.rnd.Uint64()))
		}
	case *array.Float64Builder:
		b.Append(m.rnd.NormFloat64())
	case *array.Float32Builder:
		b.Append(m.rnd.Float32())
	case *array.StringBuilder:
		b.Append(texts[m.rnd.IntN(len(texts))])
	case *array.FixedSizeBinaryBuilder:
		b.Append([]byte(fmt.Sprintf("%016d", offset)))
	default:
		panic(fmt.Sprintf("no values for %T", to))
	}
}

// hot makes an answer of some batches of both schemas, and rejects.
func (m *maker) hot(batches, rows int, spreadMillis int64) *segment.HotRows {
	key := []string{"", "id"}[m.rnd.IntN(2)]
	versions := schemas(m.rnd.IntN(3) > 0, "")
	if versions[0].Dedup {
		versions = schemas(true, key)
	}
	from := m.rnd.Int64N(1 << 40)
	out := &segment.HotRows{OffsetRange: segment.OffsetRange{Topic: "t", Generation: 1, Partition: 3, From: from, To: from}}
	for i := range batches {
		s := versions[min(1, i*2/batches)]
		b := m.batch(segment.HotArrowSchema(s), s.ID, out.To, 1+m.rnd.IntN(rows), spreadMillis)
		out.Data, out.To = append(out.Data, b), b.ToOffset
		out.Counters.Stored += b.Record.NumRows()
		if m.rnd.IntN(3) == 0 {
			b := m.batch(segment.HotRejectsArrowSchema(), segment.RejectsSchemaID, out.To, 1+m.rnd.IntN(5), spreadMillis)
			out.Rejects, out.To = append(out.Rejects, b), b.ToOffset
			out.Counters.Rejected += b.Record.NumRows()
		}
	}
	out.To += m.rnd.Int64N(3)
	out.Counters.Skipped = out.To - out.From - out.Counters.Stored - out.Counters.Rejected
	return out
}

func requestFor(h *segment.HotRows) segment.HotRequest {
	return segment.HotRequest{
		Supervisor: "s", Topic: h.Topic, Generation: h.Generation, Partition: h.Partition, From: h.From, WithRejects: true, Revision: 7,
	}
}

// request asks for a random part of what there is.
func (m *maker) request(h *segment.HotRows, spreadMillis int64) segment.HotRequest {
	r := requestFor(h)
	r.WithRejects = m.rnd.IntN(2) == 0
	if m.rnd.IntN(3) > 0 {
		r.Columns = []string{}
		for _, name := range []string{"id", "n", "d", "f", "j", segment.KeyColumn, "unknown"} {
			if m.rnd.IntN(2) == 0 {
				r.Columns = append(r.Columns, name)
			}
		}
	}
	if m.rnd.IntN(2) == 0 {
		r.FromMillis = baseMillis + m.rnd.Int64N(spreadMillis)
		r.ToMillis = r.FromMillis + 1 + m.rnd.Int64N(spreadMillis/(1+m.rnd.Int64N(20)))
	}
	return r
}

// fakeLocal is a process that reads partitions.
type fakeLocal struct {
	mu     sync.Mutex
	rows   *segment.HotRows // what Hot gives, with a reference of its own
	err    error            // what everything gives instead
	asked  []segment.HotRequest
	states map[catalog.PartitionKey]consumer.PartitionStatus
	order  func(ctx context.Context, what string) error // nil: at once
	panics bool
}

var _ Local = (*fakeLocal)(nil)

func (l *fakeLocal) Hot(_ context.Context, r segment.HotRequest) (*segment.HotRows, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.panics {
		panic("hot rows are broken")
	}
	l.asked = append(l.asked, r)
	if l.err != nil {
		return nil, l.err
	}
	out := *l.rows
	for _, list := range [][]segment.HotBatch{out.Data, out.Rejects} {
		for _, b := range list {
			b.Record.Retain()
		}
	}
	return &out, nil
}

func (l *fakeLocal) Status(key catalog.PartitionKey) (consumer.PartitionStatus, bool) {
	s, ok := l.states[key]
	return s, ok
}

func (l *fakeLocal) Handoff(ctx context.Context, key catalog.PartitionKey, upTo int64) (int64, error) {
	if l.order != nil {
		if err := l.order(ctx, fmt.Sprintf("handoff %v %d", key, upTo)); err != nil {
			return 0, err
		}
	}
	return upTo + 1, l.err
}

func (l *fakeLocal) AcceptLoss(ctx context.Context, key catalog.PartitionKey, from, to int64) error {
	if l.order != nil {
		return l.order(ctx, fmt.Sprintf("accept %v %d %d", key, from, to))
	}
	return l.err
}

func (l *fakeLocal) set(change func(*fakeLocal)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// contents writes every row down by its offset: its columns and values, by name.
func contents(list []segment.HotBatch) map[int64]map[string]string {
	out := map[int64]map[string]string{}
	for _, b := range list {
		v, err := newRowView(b.Record)
		if err != nil {
			panic(err)
		}
		for row := range v.rows() {
			values := map[string]string{"(schema)": fmt.Sprint(b.SchemaID)}
			for i, c := range b.Record.Columns() {
				values[b.Record.ColumnName(i)] = fmt.Sprintf("%v %t", c.ValueStr(row), c.IsNull(row))
			}
			out[v.offset(row)] = values
		}
	}
	return out
}

// sameRows holds rows that came over the wire against those of the owner.
func sameRows(t *testing.T, r segment.HotRequest, owned, got *segment.HotRows) {
	t.Helper()
	if got.OffsetRange != owned.OffsetRange || got.Counters != owned.Counters {
		t.Fatalf("range and counters are %+v %+v, not %+v %+v", got.OffsetRange, got.Counters, owned.OffsetRange, owned.Counters)
	}
	sameBatches(t, r, r.Columns, owned.Data, got.Data)
	if r.WithRejects {
		sameBatches(t, r, nil, owned.Rejects, got.Rejects)
	} else if len(got.Rejects) > 0 {
		t.Fatal("rejects came unasked")
	}
}

func sameBatches(t *testing.T, r segment.HotRequest, columns []string, owned, got []segment.HotBatch) {
	t.Helper()
	all, arrived := contents(owned), contents(got)
	for offset, values := range all {
		if columns != nil {
			for name := range values {
				if name != "(schema)" && !slices.Contains(columns, name) && !slices.Contains(alwaysSent, name) {
					delete(values, name)
				}
			}
		}
		has, came := arrived[offset]
		if came && fmt.Sprint(has) != fmt.Sprint(values) {
			t.Fatalf("offset %d: %v came, %v is right", offset, has, values)
		}
		delete(arrived, offset)
		if !came && offset >= r.From && wanted(r, owned, offset) {
			t.Fatalf("offset %d did not come: %v", offset, values)
		}
	}
	if len(arrived) > 0 {
		t.Fatalf("rows came that nobody has: %v", arrived)
	}
	last := r.From
	for _, b := range got {
		if err := checkBatch(b, last, 1<<62); err != nil {
			t.Fatal(err)
		}
		last = b.ToOffset
		if len(b.Buckets) == 0 {
			t.Fatalf("the batch of offset %d does not count its buckets", b.FromOffset)
		}
	}
}

func wanted(r segment.HotRequest, list []segment.HotBatch, offset int64) bool {
	if r.FromMillis == 0 && r.ToMillis == 0 {
		return true
	}
	for _, b := range list {
		v, err := newRowView(b.Record)
		if err != nil {
			panic(err)
		}
		if row, ok := slices.BinarySearch(v.offsets, offset); ok {
			return v.millis(row) >= r.FromMillis && v.millis(row) < r.ToMillis
		}
	}
	return false
}

// seeded prints the seed of a random test.
func seeded(t testing.TB, n uint64) *rand.Rand {
	t.Helper()
	t.Logf("seed %d", n)
	return rand.New(rand.NewPCG(n, 1))
}
