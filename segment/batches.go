package segment

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// SortedBy is the order that the file says its rows have, by names of columns; nil where it says none.
func (r *Reader) SortedBy() []string {
	var out []string
	meta := r.file.MetaData()
	for g := range meta.RowGroups {
		var names []string
		for _, c := range meta.RowGroup(g).SortingColumns() {
			if int(c.ColumnIdx) < 0 || int(c.ColumnIdx) >= r.schema.NumFields() || c.Descending || !c.NullsFirst {
				return nil
			}
			names = append(names, r.schema.Field(int(c.ColumnIdx)).Name)
		}
		if g > 0 && fmt.Sprintf("%q", names) != fmt.Sprintf("%q", out) {
			return nil
		}
		out = names
	}
	return out
}

// Batches reads all rows in order, a few at a time: of a row group it keeps the compressed columns and a page of each, not all
// values. It is used by one goroutine and ends with Close.
type Batches struct {
	reader  *Reader
	records pqarrow.RecordReader
	rows    int64
}

// Batches begins reading batches of at most that many rows. ctx is looked at by Next.
func (r *Reader) Batches(ctx context.Context, maxRows int64) (*Batches, error) {
	if maxRows < 1 {
		return nil, fmt.Errorf("%s: batches of %d rows", r.name, maxRows)
	}
	b := &Batches{reader: r}
	err := guard(r.name, func() error {
		f, err := pqarrow.NewFileReader(r.file, pqarrow.ArrowReadProperties{BatchSize: maxRows}, memory.NewGoAllocator())
		if err != nil {
			return corrupt(r.name, "%v", err)
		}
		if b.records, err = f.GetRecordReader(ctx, nil, nil); err != nil {
			return r.readError("rows", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Next gives the next rows, in a batch that the caller releases; nil after the last.
func (b *Batches) Next(ctx context.Context) (out arrow.RecordBatch, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = guard(b.reader.name, func() error {
		if !b.records.Next() {
			if err := b.records.Err(); err != nil {
				return b.reader.readError("rows", err)
			}
			if b.rows != b.reader.Rows() {
				return corrupt(b.reader.name, "%d of %d rows can be read", b.rows, b.reader.Rows())
			}
			return nil
		}
		out, err = b.reader.plain(b.records.RecordBatch(), nil)
		if err == nil {
			b.rows += out.NumRows()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Close gives back what reading holds.
func (b *Batches) Close() { b.records.Release() }
