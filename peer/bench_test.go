package peer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// BenchmarkHot measures hot rows over loopback beside their floor, one copy of the same bytes, in turns: x-copy is the median
// of the ratios. krow/s is for orientation only.
func BenchmarkHot(b *testing.B) {
	const batches, rows = 100, 2048
	m := &maker{rand.New(rand.NewPCG(1, 1)), memory.NewGoAllocator()}
	layout := segment.HotArrowSchema(schemas(true, "id")[1])
	h := &segment.HotRows{OffsetRange: segment.OffsetRange{Topic: "t"}}
	for range batches {
		x := m.batch(layout, 2, h.To, rows, 5*hourMillis)
		h.Data, h.To = append(h.Data, x), x.ToOffset
		h.Counters.Stored += rows
	}
	h.Counters.Skipped = h.To - h.Counters.Stored
	c, err := NewClient(ClientOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	address := serve(b, ServerOptions{Local: &fakeLocal{rows: h}})
	all, narrow, early := requestFor(h), requestFor(h), requestFor(h)
	narrow.Columns = []string{"n"}
	early.FromMillis, early.ToMillis = baseMillis, baseMillis+hourMillis/4
	for name, r := range map[string]segment.HotRequest{"all": all, "one column": narrow, "a twentieth of the time": early} {
		b.Run(name, func(b *testing.B) {
			var ours []time.Duration
			var ratios []float64
			for b.Loop() {
				begun := time.Now()
				got, err := c.Hot(b.Context(), address, r)
				if err != nil {
					b.Fatal(err)
				}
				ours = append(ours, time.Since(begun))
				got.Release()
				begun = time.Now()
				copyAll(h)
				ratios = append(ratios, float64(ours[len(ours)-1])/float64(max(1, time.Since(begun))))
			}
			slices.Sort(ours)
			slices.Sort(ratios)
			b.ReportMetric(batches*rows/ours[len(ours)/2].Seconds()/1000, "krow/s")
			b.ReportMetric(ratios[len(ratios)/2], "x-copy")
		})
	}
}

// BenchmarkHotKept measures what a dashboard asks again and again: two hundred rows come between two questions, to two hundred
// thousand. A client that keeps rows and one that does not ask in turns: x-kept is the median of the ratios, beside its quartiles.
func BenchmarkHotKept(b *testing.B) {
	const batches, rows, more = 100, 2048, 200
	m := &maker{rand.New(rand.NewPCG(1, 1)), memory.NewGoAllocator()}
	layout := segment.HotArrowSchema(schemas(true, "id")[1])
	local := &fakeLocal{rows: &segment.HotRows{OffsetRange: segment.OffsetRange{Topic: "t"}, Reading: "r"}}
	grow := func(n int) {
		local.set(func(l *fakeLocal) {
			x := m.batch(layout, 2, l.rows.To, n, 5*hourMillis)
			l.rows.Counters.Skipped += x.ToOffset - l.rows.To - int64(n)
			l.rows.Counters.Stored += int64(n)
			l.rows.Data, l.rows.To = append(l.rows.Data, x), x.ToOffset
		})
	}
	for range batches {
		grow(rows)
	}
	address := serve(b, ServerOptions{Local: local})
	keeps, forgets := ask(b, ClientOptions{HotCacheBytes: 1 << 30}), ask(b, ClientOptions{})
	took := func(c *Client) time.Duration {
		begun := time.Now()
		got, err := c.Hot(b.Context(), address, requestFor(local.rows))
		if err != nil {
			b.Fatal(err)
		}
		defer got.Release()
		return time.Since(begun)
	}
	took(keeps)
	var kept, fetched []time.Duration
	var ratios []float64
	for b.Loop() {
		grow(more)
		kept, fetched = append(kept, took(keeps)), append(fetched, took(forgets))
		ratios = append(ratios, float64(fetched[len(fetched)-1])/float64(max(1, kept[len(kept)-1])))
	}
	slices.Sort(kept)
	slices.Sort(fetched)
	slices.Sort(ratios)
	n := len(ratios)
	b.ReportMetric(float64(kept[n/2].Microseconds()), "µs-kept")
	b.ReportMetric(float64(fetched[n/2].Microseconds()), "µs-fetched")
	b.ReportMetric(ratios[n/2], "x-kept")
	b.ReportMetric(ratios[n/4], "x-kept-q1")
	b.ReportMetric(ratios[3*n/4], "x-kept-q3")
}

// BenchmarkCompression tells what compressing the bodies would cost and save; this protocol does not.
func BenchmarkCompression(b *testing.B) {
	m := &maker{rand.New(rand.NewPCG(1, 1)), memory.NewGoAllocator()}
	x := m.batch(segment.HotArrowSchema(schemas(true, "id")[1]), 2, 0, 2048, 5*hourMillis)
	for name, options := range map[string][]ipc.Option{"none": nil, "lz4": {ipc.WithLZ4()}, "zstd": {ipc.WithZstd()}} {
		b.Run(name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				payload, err := ipc.GetRecordBatchPayload(x.Record, append(options, ipc.WithAllocator(memory.DefaultAllocator))...)
				if err != nil {
					b.Fatal(err)
				}
				var n counter
				if err := payload.SerializeBody(&n); err != nil {
					b.Fatal(err)
				}
				size = int(n)
				payload.Release()
			}
			b.ReportMetric(float64(size)/2048, "B/row")
			b.ReportMetric(2048/b.Elapsed().Seconds()*float64(b.N)/1000, "krow/s")
		})
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

func copyAll(h *segment.HotRows) {
	for _, x := range h.Data {
		for _, c := range x.Record.Columns() {
			for _, buffer := range c.Data().Buffers() {
				if buffer != nil {
					_ = slices.Clone(buffer.Bytes())
				}
			}
		}
	}
}
