package peer

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
	"google.golang.org/protobuf/proto"

	"drumlin/segment"
)

// tape keeps the messages of a stream as they would go over the wire, and plays them.
type tape struct {
	messages [][]byte
	at       int
}

func (p *tape) Send(m *flight.FlightData) error {
	text, err := proto.Marshal(m)
	p.messages = append(p.messages, text)
	return err
}

func (p *tape) Recv() (*flight.FlightData, error) {
	if p.at == len(p.messages) {
		return nil, io.EOF
	}
	p.at++
	m := &flight.FlightData{}
	return m, proto.Unmarshal(p.messages[p.at-1], m)
}

func record(t testing.TB, r segment.HotRequest, h *segment.HotRows) *tape {
	t.Helper()
	p := &tape{}
	s := &sender{to: p, mem: memory.NewGoAllocator()}
	if err := s.send(r, h); err != nil {
		t.Fatal(err)
	}
	return p
}

func play(p *tape, r segment.HotRequest, mem memory.Allocator) (*segment.HotRows, error) {
	b := &budget{inner: mem}
	in := &receiver{from: p, request: r, mem: b, budget: b}
	return in.receive()
}

// Whatever is asked for, what arrives is what the owner has: every row that was asked for, with every column, and none that
// nobody has.
func TestRowsOverTheWireAreTheOwners(t *testing.T) {
	rnd := seeded(t, uint64(time.Now().UnixNano()))
	mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
	defer mem.AssertSize(t, 0)
	for range 40 {
		m := &maker{rnd, mem}
		spread := []int64{1000, 2 * hourMillis, 100 * hourMillis}[rnd.IntN(3)]
		owned := m.hot(rnd.IntN(6), 1+rnd.IntN(100), spread)
		for range 4 {
			r := m.request(owned, spread)
			got, err := play(record(t, r, owned), r, mem)
			if err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			sameRows(t, r, owned, got)
			got.Release()
		}
		owned.Release()
	}
}

// Columns arrive exactly as segment.HotArrowSchema has them.
func TestReceivedColumnsHaveTheLayoutOfHotRows(t *testing.T) {
	m := &maker{seeded(t, 1), memory.NewGoAllocator()}
	for _, s := range append(schemas(true, ""), schemas(false, "")...) {
		b := m.batch(segment.HotArrowSchema(s), s.ID, 0, 10, 1000)
		h := one(b)
		r := requestFor(h)
		got, err := play(record(t, r, h), r, memory.NewGoAllocator())
		if err != nil {
			t.Fatal(err)
		}
		if !got.Data[0].Record.Schema().Equal(segment.HotArrowSchema(s)) {
			t.Errorf("schema is %v", got.Data[0].Record.Schema())
		}
		r.Columns = []string{"d"}
		got, err = play(record(t, r, h), r, memory.NewGoAllocator())
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, f := range segment.HotArrowSchema(s).Fields() {
			switch f.Name {
			case segment.TimeColumn, segment.OffsetColumn, segment.IDHighColumn, segment.IDLowColumn, "d":
				want = append(want, f.String())
			}
		}
		var names []string
		for _, f := range got.Data[0].Record.Schema().Fields() {
			names = append(names, f.String())
		}
		if fmt.Sprint(names) != fmt.Sprint(want) {
			t.Errorf("columns are %v, not %v", names, want)
		}
	}
}

// one is an answer of a single batch.
func one(b segment.HotBatch) *segment.HotRows {
	return &segment.HotRows{
		OffsetRange: segment.OffsetRange{Topic: "t", From: b.FromOffset, To: b.ToOffset}, Data: []segment.HotBatch{b},
		Counters: segment.Counters{Stored: b.Record.NumRows(), Skipped: b.ToOffset - b.FromOffset - b.Record.NumRows()},
	}
}

// A batch below the asked offset is cut there, and the rest counted anew.
func TestBatchIsCutAtTheAskedOffset(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	m := &maker{seeded(t, 2), mem}
	b := m.batch(segment.HotArrowSchema(schemas(true, "id")[1]), 2, 100, 500, 5*hourMillis)
	defer b.Record.Release()
	v, err := newRowView(b.Record)
	if err != nil {
		t.Fatal(err)
	}
	h := one(b)
	h.From = v.offset(123)
	h.Counters = segment.Counters{Stored: 500 - 123, Skipped: h.To - h.From - (500 - 123)}
	r := requestFor(h)
	got, err := play(record(t, r, h), r, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	sameRows(t, r, h, got)
	if first := got.Data[0]; first.FromOffset != h.From || first.Record.NumRows() != 500-123 {
		t.Errorf("%d rows from offset %d on", first.Record.NumRows(), first.FromOffset)
	}
}

// Few wanted rows among many are picked out; a run of them is cut out.
func TestRowsOutsideTheAskedTimesStayWithTheOwner(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	m := &maker{seeded(t, 3), mem}
	b := m.batch(segment.HotArrowSchema(schemas(true, "")[0]), 1, 0, 2000, 100*hourMillis)
	defer b.Record.Release()
	h := one(b)
	r := requestFor(h)
	r.FromMillis, r.ToMillis = baseMillis+hourMillis, baseMillis+2*hourMillis
	got, err := play(record(t, r, h), r, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	sameRows(t, r, h, got)
	if n := got.Data[0].Record.NumRows(); n > 60 || n == 0 || len(got.Data[0].Buckets) != 1 {
		t.Errorf("%d of 2000 rows came, in %d buckets", n, len(got.Data[0].Buckets))
	}
	r.FromMillis, r.ToMillis = 1, 2
	none, err := play(record(t, r, h), r, mem)
	if err != nil {
		t.Fatal(err)
	}
	if len(none.Data) != 0 || none.Counters != h.Counters {
		t.Errorf("%d batches, counters %+v", len(none.Data), none.Counters)
	}
}

// Batches larger than a message are sent in pieces; a row larger than a piece is one.
func TestLargeBatchesAreSentInPieces(t *testing.T) {
	s := &segment.Schema{ID: 1, Columns: []segment.Column{{ID: 100, Name: "text", Type: segment.TypeString}}, Dimensions: []string{"text"}}
	b := array.NewRecordBuilder(memory.NewGoAllocator(), segment.HotArrowSchema(s))
	for i := range 9 {
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(baseMillis * 1000))
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		b.Field(2).(*array.StringBuilder).Append(strings.Repeat("x", 1<<20))
		if i == 8 {
			b.Field(2).(*array.StringBuilder).SetNull(8)
		}
	}
	bucket := segment.BucketRows{Bucket: segment.Bucket{StartMillis: baseMillis, EndMillis: baseMillis + hourMillis}, Rows: 9}
	h := one(segment.HotBatch{
		Record: b.NewRecordBatch(), SchemaID: 1, ToOffset: 9, MinMillis: baseMillis, MaxMillis: baseMillis, Buckets: []segment.BucketRows{bucket},
	})
	r := requestFor(h)
	p := record(t, r, h)
	for _, m := range p.messages {
		if len(m) > maxSentBytes+4096 {
			t.Errorf("a message has %d bytes", len(m))
		}
	}
	got, err := play(p, r, memory.NewGoAllocator())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Data) < 3 {
		t.Errorf("%d pieces", len(got.Data))
	}
	sameRows(t, r, h, got)
}

// A stream that is cut, shortened, doubled or put in another order is never an answer.
func TestDisturbedStreamsAreErrors(t *testing.T) {
	mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
	defer mem.AssertSize(t, 0)
	rnd := seeded(t, uint64(time.Now().UnixNano()))
	m := &maker{rnd, mem}
	h := m.hot(6, 50, 10*hourMillis)
	for len(h.Rejects) == 0 {
		h.Release()
		h = m.hot(6, 50, 10*hourMillis)
	}
	defer h.Release()
	r := requestFor(h)
	whole := record(t, r, h).messages
	refuse := func(what string, messages ...[]byte) {
		t.Helper()
		got, err := play(&tape{messages: messages}, r, mem)
		if err == nil {
			got.Release()
			t.Errorf("%s: %d batches were accepted", what, len(got.Data))
		} else if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range whole {
		refuse(fmt.Sprintf("cut before message %d", i), whole[:i]...)
		rest := append(append([][]byte{}, whole[:i]...), whole[i+1:]...)
		refuse(fmt.Sprintf("without message %d", i), rest...)
		if m := kindOf(t, whole[i]); m != kindSchema {
			refuse(fmt.Sprintf("with message %d twice", i), append(append(append([][]byte{}, whole[:i+1]...), whole[i]), whole[i+1:]...)...)
		}
	}
	refuse("with more after the end", append(append([][]byte{}, whole...), whole[1])...)
}

func kindOf(t *testing.T, message []byte) string {
	t.Helper()
	m := &flight.FlightData{}
	if err := proto.Unmarshal(message, m); err != nil {
		t.Fatal(err)
	}
	f, err := decodeFrame(m.AppMetadata)
	if err != nil {
		t.Fatal(err)
	}
	return f.Kind
}

// A flipped bit in rows is always an error; one beside them is an error or rows that are sound in themselves. There is no
// panic and no leak.
func TestFlippedBitsAreSurvived(t *testing.T) {
	mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
	defer mem.AssertSize(t, 0)
	rnd := seeded(t, uint64(time.Now().UnixNano()))
	m := &maker{rnd, mem}
	h := m.hot(4, 20, 10*hourMillis)
	defer h.Release()
	r := requestFor(h)
	whole := record(t, r, h)
	accepted := 0
	for range 600 {
		broken := &tape{messages: slices.Clone(whole.messages)}
		at := rnd.IntN(len(broken.messages))
		broken.messages[at] = slices.Clone(broken.messages[at])
		flip(rnd, broken.messages[at])
		got, err := play(broken, r, mem)
		if err != nil {
			continue
		}
		accepted++
		touch(got)
		got.Release()
	}
	t.Logf("%d of 600 gave rows", accepted)
}

// Even where the checksum is right, rows that make no sense are an error or sound in themselves.
func TestNonsenseWithARightChecksumIsSurvived(t *testing.T) {
	mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
	defer mem.AssertSize(t, 0)
	rnd := seeded(t, uint64(time.Now().UnixNano()))
	m := &maker{rnd, mem}
	layout := segment.HotArrowSchema(schemas(true, "")[1])
	b := m.batch(layout, 2, 0, 50, 1000)
	defer b.Record.Release()
	p := &tape{}
	if err := (&sender{to: p, mem: memory.NewGoAllocator()}).batch(false, b); err != nil {
		t.Fatal(err)
	}
	sent := &flight.FlightData{}
	if err := proto.Unmarshal(p.messages[1], sent); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		header, body := slices.Clone(sent.DataHeader), slices.Clone(sent.DataBody)
		flip(rnd, [][]byte{header, body}[rnd.IntN(2)])
		if got, err := copyRecord(mem, layout, header, body, 50); err == nil {
			touch(&segment.HotRows{Data: []segment.HotBatch{{Record: got}}})
			got.Release()
		}
	}
}

func flip(rnd *rand.Rand, b []byte) {
	for range 1 + rnd.IntN(3) {
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
	}
}

// touch reads every value.
func touch(h *segment.HotRows) {
	for _, list := range [][]segment.HotBatch{h.Data, h.Rejects} {
		for _, b := range list {
			for _, c := range b.Record.Columns() {
				for row := range c.Len() {
					_ = c.ValueStr(row)
				}
			}
		}
	}
}
