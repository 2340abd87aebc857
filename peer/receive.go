package peer

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// source gives the messages of a stream of hot rows, then io.EOF.
type source interface {
	Recv() (*flight.FlightData, error)
}

// receiver puts a stream of hot rows together and believes nothing of it.
type receiver struct {
	from    source
	request segment.HotRequest
	has     counted // what the asker holds of [From, Since)
	mem     memory.Allocator
	budget  *budget

	rows    *segment.HotRows // nil until the stream has begun
	since   int64            // from where on rows come
	current schemaFrame
	layout  *arrow.Schema // nil: no schema yet
	got     endFrame
	next    [2]int64 // the lowest offset that may come: of data, of rejects
	bytes   int64
}

// receive reads a stream to its end. The caller releases the rows. An error of the source comes back as it is, wrapped;
// everything else is ErrMalformed or ErrHotBudget.
func (r *receiver) receive() (*segment.HotRows, error) {
	out, err := r.all()
	if err != nil && r.rows != nil {
		r.rows.Release()
	}
	return out, err
}

func (r *receiver) all() (*segment.HotRows, error) {
	for {
		message, err := r.from.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, malformed("the stream of hot rows ends before it has said how much it held")
		case err != nil:
			return nil, fmt.Errorf("read hot rows: %w", err)
		}
		r.bytes += int64(len(message.GetAppMetadata()) + len(message.GetDataHeader()) + len(message.GetDataBody()))
		done, err := r.message(message)
		if err != nil {
			return nil, err
		}
		if !done {
			continue
		}
		switch _, err := r.from.Recv(); {
		case errors.Is(err, io.EOF):
			return r.rows, nil
		case err != nil:
			return nil, fmt.Errorf("read hot rows: %w", err)
		}
		return nil, malformed("the stream of hot rows goes on after its end")
	}
}

// message takes one message in; done says that it was the last.
func (r *receiver) message(m *flight.FlightData) (done bool, err error) {
	f, err := decodeFrame(m.GetAppMetadata())
	if err != nil {
		return false, malformed("%v", err)
	}
	if (f.Kind == kindBegin) == (r.rows != nil) {
		return false, malformed("the stream of hot rows begins with %q, or begins twice", f.Kind)
	}
	switch f.Kind {
	case kindBegin:
		return false, r.begin(f.Begin)
	case kindSchema:
		return false, r.schema(*f.Schema)
	case kindBatch:
		return false, r.batch(f.Batch, m)
	}
	return true, r.end(f.End)
}

func (r *receiver) begin(b *beginFrame) error {
	want, got := r.request, b.Range
	if got.Topic != want.Topic || got.Generation != want.Generation || got.Partition != want.Partition || got.From != want.From {
		return malformed("asked was %s generation %d partition %d from offset %d on, answered is %s generation %d partition %d from %d on",
			want.Topic, want.Generation, want.Partition, want.From, got.Topic, got.Generation, got.Partition, got.From)
	}
	c := b.Counters
	for _, n := range []int64{c.Stored, c.Duplicates, c.Rejected, c.Skipped, c.Lost, c.Keyless, c.Unparseable, c.Stored - c.Keyless} {
		if n < 0 || n > got.To-got.From {
			return malformed("the counters %+v cannot be those of the offsets [%d, %d)", c, got.From, got.To)
		}
	}
	if got.To < got.From || c.Sum() != got.To-got.From {
		return malformed("the counters %+v do not add up to the offsets [%d, %d)", c, got.From, got.To)
	}
	if r.since = got.From; b.Since != 0 {
		if b.Since != want.Since || b.Reading != want.Reading || b.Reading == "" || b.Since < got.From || b.Since > got.To {
			return malformed("rows of the reading %q since %d were to follow those that are held, answered is %q since %d, up to %d",
				want.Reading, want.Since, b.Reading, b.Since, got.To)
		}
		r.since = b.Since
	} else {
		r.has = counted{} // everything comes
	}
	r.rows = &segment.HotRows{OffsetRange: got, Counters: c, Reading: b.Reading}
	r.next = [2]int64{r.since, r.since}
	return nil
}

func (r *receiver) schema(s schemaFrame) error {
	if s.Rejects && !r.request.WithRejects {
		return malformed("rejects came that were not asked for")
	}
	layout, err := s.layout()
	if err != nil {
		return err
	}
	r.current, r.layout = s, layout
	return nil
}

func (r *receiver) batch(f *batchFrame, m *flight.FlightData) error {
	if r.layout == nil {
		return malformed("hot rows came before their schema")
	}
	if sum := checksum(m.GetDataHeader(), m.GetDataBody()); sum != f.CRC32C {
		return malformed("the checksum of the batch from offset %d on is %08x, sent was %08x", f.FromOffset, sum, f.CRC32C)
	}
	if err := r.budget.admit(int64(len(m.GetDataBody()))); err != nil {
		return err
	}
	record, err := copyRecord(r.mem, r.layout, m.GetDataHeader(), m.GetDataBody(), f.Rows)
	if err != nil {
		return err
	}
	b := segment.HotBatch{
		Record: record, SchemaID: r.current.ID, FromOffset: f.FromOffset, ToOffset: f.ToOffset,
		MinMillis: f.MinMillis, MaxMillis: f.MaxMillis,
	}
	for _, n := range f.Buckets {
		b.Buckets = append(b.Buckets, segment.BucketRows{Bucket: n.Bucket, Rows: n.Rows, Bytes: n.Bytes})
	}
	kind, list := 0, &r.rows.Data
	if r.current.Rejects {
		kind, list = 1, &r.rows.Rejects
	}
	*list = append(*list, b) // released with the rest if it is not good
	if err := checkBatch(b, r.next[kind], r.rows.To); err != nil {
		return err
	}
	r.next[kind] = b.ToOffset
	r.got.count(r.current.Rejects, f.Rows)
	return nil
}

// end holds what came against what the sender counted, and against the counters where nothing was left out.
func (r *receiver) end(f *endFrame) error {
	if *f != r.got {
		return malformed("sent were %+v, arrived are %+v", *f, r.got)
	}
	c, all := r.rows.Counters, r.request.FromMillis == 0 && r.request.ToMillis == 0
	for _, n := range []struct {
		what       string
		rows, from int64
		whole      bool
	}{
		{"stored", r.has.rows + f.Rows, c.Stored, all},
		{"rejected", r.has.rejects + f.RejectRows, c.Rejected, all && r.request.WithRejects},
	} {
		if n.rows > n.from || n.whole && n.rows != n.from {
			return malformed("%d rows were held or came of the %d records that the offsets [%d, %d) have %s", n.rows, n.from, r.rows.From, r.rows.To, n.what)
		}
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
