package compaction

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"drumlin/segment"
)

const (
	minRunBatchBytes = 64 << 10
	maxRunBatchBytes = 1 << 20
	runBufferBytes   = 256 << 10
)

// runBatchBytes is how large the batches of a run are: every run that is merged has one in memory.
func (x *execution) runBatchBytes() int64 {
	return min(max(x.e.o.MaxMemoryBytes/(4*rowFanIn), minRunBatchBytes), maxRunBatchBytes)
}

// rowRun is batches in a file without a name, as Arrow writes them.
type rowRun struct {
	file  *os.File
	bytes int64
	level int // how often its rows have been merged
}

func (r *rowRun) close() {
	_ = r.file.Close() // it was only read since it was written
}

// runWriter writes one run; it ends with finish or abort.
type runWriter struct {
	x      *execution
	file   *os.File
	buffer *bufio.Writer
	count  *countingWriter
	out    *ipc.Writer
}

func (x *execution) newRunWriter(s *arrow.Schema) (*runWriter, error) {
	f, err := segment.TempFile(x.e.o.TempDir)
	if err != nil {
		return nil, err
	}
	w := &runWriter{x: x, file: f, count: &countingWriter{out: f}}
	w.buffer = bufio.NewWriterSize(w.count, runBufferBytes)
	w.out = ipc.NewWriter(w.buffer, ipc.WithSchema(s), ipc.WithAllocator(x.mem))
	return w, nil
}

func (w *runWriter) write(rec arrow.RecordBatch) error {
	if err := w.out.Write(rec); err != nil {
		return fmt.Errorf("spill rows: %w", err)
	}
	return nil
}

func (w *runWriter) finish(level int) (*rowRun, error) {
	err := w.out.Close()
	if err == nil {
		err = w.buffer.Flush()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spill rows: %w", err), w.file.Close())
	}
	w.x.stats.SpillFiles++
	w.x.stats.SpilledBytes += w.count.bytes
	return &rowRun{file: w.file, bytes: w.count.bytes, level: level}, nil
}

func (w *runWriter) abort() {
	_ = w.out.Close()  // thrown away
	_ = w.file.Close() // thrown away
}

type countingWriter struct {
	out   io.Writer
	bytes int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	c.bytes += int64(n)
	return n, err
}

// runReader reads a run's batches in order, and ends the run with itself.
type runReader struct {
	run    *rowRun
	reader *ipc.Reader
}

func (x *execution) readRun(r *rowRun) (*runReader, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.bytes), idBufferBytes)
	reader, err := ipc.NewReader(in, ipc.WithAllocator(x.mem))
	if err != nil {
		return nil, fmt.Errorf("read spilled rows: %w", err)
	}
	return &runReader{run: r, reader: reader}, nil
}

// next gives a batch that its receiver releases; nil at the end.
func (r *runReader) next(ctx context.Context) (arrow.RecordBatch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !r.reader.Next() {
		if err := r.reader.Err(); err != nil {
			return nil, fmt.Errorf("read spilled rows: %w", err)
		}
		return nil, nil
	}
	rec := r.reader.RecordBatch()
	rec.Retain()
	return rec, nil
}

func (r *runReader) close() {
	r.reader.Release()
	r.run.close()
}
