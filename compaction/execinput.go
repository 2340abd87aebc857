package compaction

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"drumlin/segment"
)

// input is one object that a job reads: a segment or a sidecar.
type input struct {
	meta   segment.Meta // of segments
	number int          // among the job's segments
	object string
	size   int64
	sum    string
	rows   int64
	at     int64 // where it begins among the fetched
	losers bitmap
}

// bitmap marks rows; nil marks none.
type bitmap []uint64

func (b *bitmap) set(row int, rows int64) {
	if *b == nil {
		*b = make(bitmap, (rows+63)/64)
	}
	(*b)[row/64] |= 1 << (row % 64)
}

func (b bitmap) has(row int) bool { return b != nil && b[row/64]&(1<<(row%64)) != 0 }

const copyBytes = 256 << 10

// fetch brings all inputs into one file without a name. Each is compared with its checksum on the way, so that what is read
// afterwards is what was written once.
func (x *execution) fetch(ctx context.Context) error {
	inputs := slices.Concat(x.inputs, x.sidecars)
	var at int64
	for _, in := range inputs {
		if in.size <= 0 || in.rows <= 0 {
			return fmt.Errorf("input %s: the catalog describes it as %d rows in %d bytes", in.object, in.rows, in.size)
		}
		in.at = at
		at += in.size
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(x.e.o.Parallel)
	for _, in := range inputs {
		group.Go(func() error { return x.fetchOne(ctx, in) })
	}
	return group.Wait()
}

func (x *execution) fetchOne(ctx context.Context, in *input) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := x.e.o.Objects.Get(ctx, in.object, 0, -1)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", in.object, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	verified := segment.NewVerifyingReader(in.object, body, in.size, in.sum)
	// OffsetWriter alone, without its ReadFrom, keeps to the buffer that is given.
	to := struct{ io.Writer }{io.NewOffsetWriter(x.fetched, in.at)}
	if _, err := io.CopyBuffer(to, verified, make([]byte, min(in.size+1, copyBytes))); err != nil {
		return fmt.Errorf("fetch %s: %w", in.object, err)
	}
	return nil
}

// open reads the footer of a fetched input.
func (x *execution) open(in *input) (*segment.Reader, error) {
	r, err := segment.OpenReader(in.object, io.NewSectionReader(x.fetched, in.at, in.size), in.size)
	if err != nil {
		return nil, err
	}
	if r.Rows() != in.rows {
		return nil, fmt.Errorf("%s holds %d rows, and its description says %d: %w", in.object, r.Rows(), in.rows, segment.ErrCorrupt)
	}
	return r, nil
}

// columnsByID finds columns of a file; what the file does not have is −1.
func columnsByID(s *arrow.Schema, ids ...int32) []int {
	out := make([]int, len(ids))
	for i, id := range ids {
		out[i] = -1
		for at, f := range s.Fields() {
			if got, ok := segment.FieldID(f); ok && got == id {
				out[i] = at
			}
		}
	}
	return out
}

// inputBatch is a row group of an input. Its receiver releases it.
type inputBatch struct {
	in    *input
	first int // its first row's number in the input
	heldBatch
}

// eachBatch reads the inputs in their order, one row group ahead of fn, which owns what it is given: all columns, or of
// those with the given ids the ones that the file has, in the file's order.
func (x *execution) eachBatch(ctx context.Context, inputs []*input, ids []int32, fn func(inputBatch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	ahead := make(chan inputBatch)
	var readErr error // written before ahead is closed
	go func() {
		defer close(ahead)
		for _, in := range inputs {
			if readErr = x.readInput(ctx, in, ids, ahead); readErr != nil {
				return
			}
		}
	}()
	defer func() {
		cancel()
		for b := range ahead { // until the reader has ended
			x.release(b.heldBatch)
		}
	}()
	for b := range ahead {
		rows := b.rec.NumRows()
		if err := fn(b); err != nil {
			return err
		}
		x.reported.add(rows)
	}
	return readErr
}

func (x *execution) readInput(ctx context.Context, in *input, ids []int32, to chan<- inputBatch) error {
	r, err := x.open(in)
	if err != nil {
		return err
	}
	var columns []int
	if ids != nil {
		for _, at := range columnsByID(r.Schema(), ids...) {
			if at >= 0 {
				columns = append(columns, at)
			}
		}
		slices.Sort(columns)
	}
	first := 0
	for group := range r.RowGroups() {
		rec, err := r.ReadRowGroup(ctx, group, columns)
		if err != nil {
			return err
		}
		held := heldBatch{rec: rec, bytes: bufferBytes(rec)}
		x.mem.hold(held.bytes)
		select {
		case to <- inputBatch{in: in, first: first, heldBatch: held}:
		case <-ctx.Done():
			x.release(held)
			return ctx.Err()
		}
		first += int(rec.NumRows())
	}
	return nil
}

func (x *execution) release(b heldBatch) {
	b.rec.Release()
	x.mem.letGo(b.bytes)
}
