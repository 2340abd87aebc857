package compaction

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/catalog"
	"drumlin/segment"
)

// defaultMaxSidecarRows cuts a sidecar at a gigabyte.
const defaultMaxSidecarRows = 1 << 26

// sidecarWriter writes identities that come in ascending order, each once, into as few sidecars as their limit asks for. It
// is used by one goroutine and ends with finish or abort.
type sidecarWriter struct {
	x         *execution
	high, low *array.Int64Builder
	file      *os.File // of the open sidecar
	writer    *segment.Writer
	rows      int64 // of the open sidecar
	done      []finishedSidecar
	total     int64
}

type finishedSidecar struct {
	file    *os.File
	summary *segment.Summary
}

func newSidecarWriter(x *execution) *sidecarWriter {
	return &sidecarWriter{x: x, high: array.NewInt64Builder(x.mem), low: array.NewInt64Builder(x.mem)}
}

func (w *sidecarWriter) add(ctx context.Context, hi, lo int64) error {
	if w.high.Len() == 0 {
		w.high.Reserve(segment.RowGroupRows)
		w.low.Reserve(segment.RowGroupRows)
	}
	w.high.UnsafeAppend(hi)
	w.low.UnsafeAppend(lo)
	w.total++
	if w.high.Len() == segment.RowGroupRows || w.rows+int64(w.high.Len()) == w.x.e.maxSidecarRows {
		return w.flush(ctx)
	}
	return nil
}

// flush writes a row group, and ends the sidecar at its limit.
func (w *sidecarWriter) flush(ctx context.Context) error {
	if w.high.Len() == 0 {
		return nil
	}
	high, low := w.high.NewArray(), w.low.NewArray()
	defer high.Release()
	defer low.Release()
	rec := array.NewRecordBatch(segment.IDsArrowSchema(), []arrow.Array{high, low}, int64(high.Len()))
	defer rec.Release()
	if w.writer == nil {
		var err error
		if w.file, err = segment.TempFile(w.x.e.o.TempDir); err != nil {
			return err
		}
		if w.writer, err = segment.NewWriter(w.file, segment.WriterOptions{
			Schema: rec.Schema(), SortBy: []string{segment.IDHighColumn, segment.IDLowColumn}, Allocator: w.x.mem,
		}); err != nil {
			return err
		}
	}
	if err := w.writer.Write(ctx, rec); err != nil {
		return err
	}
	if w.rows += rec.NumRows(); w.rows >= w.x.e.maxSidecarRows {
		return w.endFile()
	}
	return nil
}

func (w *sidecarWriter) endFile() error {
	if w.writer == nil {
		return nil
	}
	summary, err := w.writer.Close()
	if err != nil {
		return err
	}
	w.done = append(w.done, finishedSidecar{w.file, summary})
	w.writer, w.file, w.rows = nil, nil, 0
	return nil
}

// finish uploads the sidecars, beside whatever else is uploaded.
func (w *sidecarWriter) finish(ctx context.Context, x *execution) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := w.endFile(); err != nil {
		return err
	}
	done := w.done
	w.done = nil
	x.stats.IDs = w.total
	for i, f := range done {
		s := catalog.Sidecar{
			Bucket: x.group, Object: x.objectName(segment.KindIDs, x.group), Bytes: f.summary.Bytes,
			SHA256: f.summary.SHA256, Rows: f.summary.Rows,
		}
		x.ids.sidecars = append(x.ids.sidecars, s)
		if err := x.writers.upload(ctx, s.Object, f.file, s.Bytes, s.SHA256); err != nil {
			for _, left := range done[i+1:] {
				err = errors.Join(err, left.file.Close())
			}
			return err
		}
	}
	return nil
}

// abort gives back what is still there; it does nothing after finish.
func (w *sidecarWriter) abort() {
	if w.writer != nil {
		w.writer.Abort()
	}
	if w.file != nil {
		_ = w.file.Close() // thrown away
	}
	for _, f := range w.done {
		_ = f.file.Close() // thrown away
	}
	w.high.Release()
	w.low.Release()
	w.writer, w.file, w.done = nil, nil, nil
}

// sidecarStream reads a sidecar, one row group at a time, and refuses one that is not sorted and unique.
type sidecarStream struct {
	x      *execution
	in     *input
	reader *segment.Reader
	group  int
	batch  heldBatch
	high   []int64
	low    []int64
	last   idEntry
	some   bool
}

func (x *execution) openSidecar(in *input) (idStream, error) {
	r, err := x.open(in)
	if err != nil {
		return nil, err
	}
	want := segment.IDsArrowSchema()
	have := r.Schema()
	for i, f := range want.Fields() {
		if have.NumFields() != want.NumFields() || have.Field(i).Name != f.Name || !arrow.TypeEqual(have.Field(i).Type, f.Type) {
			return nil, fmt.Errorf("%s is no sidecar: %w", in.object, segment.ErrCorrupt)
		}
	}
	return &sidecarStream{x: x, in: in, reader: r}, nil
}

func (s *sidecarStream) next(ctx context.Context) (idEntry, bool, error) {
	for len(s.high) == 0 {
		s.close()
		if s.group == s.reader.RowGroups() {
			return idEntry{}, false, nil
		}
		if err := s.read(ctx); err != nil {
			return idEntry{}, false, err
		}
	}
	e := idEntry{hi: s.high[0], lo: s.low[0], input: sidecarInput}
	s.high, s.low = s.high[1:], s.low[1:]
	if s.some && compareIDs(s.last, e) >= 0 {
		return e, false, fmt.Errorf("%s: its identities are not sorted: %w", s.in.object, segment.ErrCorrupt)
	}
	s.last, s.some = e, true
	return e, true, nil
}

func (s *sidecarStream) read(ctx context.Context) error {
	rec, err := s.reader.ReadRowGroup(ctx, s.group, nil)
	if err != nil {
		return err
	}
	s.batch = heldBatch{rec: rec, bytes: bufferBytes(rec)}
	s.x.mem.hold(s.batch.bytes)
	s.group++
	high, low := rec.Column(0).(*array.Int64), rec.Column(1).(*array.Int64)
	if high.NullN()+low.NullN() > 0 {
		return fmt.Errorf("%s holds an empty identity: %w", s.in.object, segment.ErrCorrupt)
	}
	s.high, s.low = high.Int64Values(), low.Int64Values()
	return nil
}

func (s *sidecarStream) close() {
	if s.batch.rec != nil {
		s.x.release(s.batch)
	}
	s.batch, s.high, s.low = heldBatch{}, nil, nil
}

// joinSidecars makes one run of several sidecars: each that is open keeps a row group in memory.
func (x *execution) joinSidecars(ctx context.Context, list []*input) (*idRun, error) {
	var streams []idStream
	for _, in := range list {
		s, err := x.openSidecar(in)
		if err != nil {
			return nil, err // streams that have not been read hold nothing
		}
		streams = append(streams, s)
	}
	return x.writeIDRun(ctx, newIDMerge(streams))
}
