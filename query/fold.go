package query

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/duckdb"
	"drumlin/rollup"
	"drumlin/rollup/fold"
	"drumlin/segment"
)

// maxFoldedBatchRows is the size of the batches that folding gives: what DuckDB takes at a time.
const maxFoldedBatchRows = 2048

// foldBudget bounds what folding takes in all queries together: it lies beside DuckDB's own limit.
type foldBudget struct {
	maxBytes int64
	used     atomic.Int64
}

// foldHold is one query's part of the budget. It is used by one goroutine at a time.
type foldHold struct {
	budget *foldBudget
	bytes  int64
}

// set says how much the query takes now. Taking more than is left is an error.
func (h *foldHold) set(bytes int64) error {
	grown := bytes - h.bytes
	h.bytes = bytes
	if used := h.budget.used.Add(grown); grown > 0 && used > h.budget.maxBytes {
		return newError(OutOfMemory, "compact the datasource, or ask for a shorter time",
			"rolling up the rows that have not been compacted takes more than the %d bytes that queries may use for it",
			h.budget.maxBytes)
	}
	return nil
}

func (h *foldHold) release() {
	h.budget.used.Add(-h.bytes)
	h.bytes = 0
}

// folding rolls up the rows of one part that compaction has not, as compaction would.
type folding struct {
	session *duckdb.Session
	mem     memory.Allocator
	hold    *foldHold
	held    int64 // bytes of batches that have been made
	rows    int64 // read
}

// run folds the part's rows and adds them to the session as a scan. Settled rows are read only where a folded row has
// their key.
func (f *folding) run(ctx context.Context, t *tableSQL, p *planPart) (foldedScan, error) {
	if len(p.unsettled)+len(p.folded)+len(p.hot) == 0 {
		return foldedScan{}, nil
	}
	batches, err := f.fold(ctx, p.rules.plan, func(into *fold.Folder) error { return f.newRows(ctx, t, p, into) })
	defer func() { releaseAll(batches) }()
	if err != nil || len(batches) == 0 {
		return foldedScan{}, err
	}
	token, err := f.session.AddScan(p.rules.foldedScan(batches))
	if err != nil || len(p.merged) == 0 {
		return foldedScan{token, true}, err
	}
	merged, err := f.fold(ctx, p.rules.plan, func(into *fold.Folder) error {
		for _, b := range batches {
			if err := into.AddFolded(b); err != nil {
				return err
			}
		}
		stored := p.rules.storedColumns()
		sql := fmt.Sprintf("SELECT %s FROM %s r SEMI JOIN drumlin_scan(%d) k ON %s", columnList(stored, "r."),
			readParquet(t.paths(p.merged), stored), token, p.rules.sameKey("r.", "k."))
		return f.addFolded(ctx, sql, p.rules.plan, into)
	})
	defer func() { releaseAll(merged) }()
	if err != nil {
		return foldedScan{}, err
	}
	token, err = f.session.AddScan(p.rules.foldedScan(merged))
	return foldedScan{token, true}, err
}

// newRows folds the rows that no compaction has folded with all others: the hot ones, those of the tail, and rolled-up
// segments of handoffs.
func (f *folding) newRows(ctx context.Context, t *tableSQL, p *planPart, into *fold.Folder) error {
	columns := withPosition(p.rules.readColumns(t.raw))
	layout, err := layoutOf(columns)
	if err != nil {
		return err
	}
	rows := func(source string, where []string) error {
		sql := t.withoutLosers(columnList(columns, "r."), source, where)
		return f.session.Records(ctx, sql, layout, f.mem, func(rec arrow.RecordBatch) error {
			f.rows += rec.NumRows()
			if err := into.AddRows(rollup.Rows{Record: rec}, nil); err != nil {
				return err
			}
			return f.hold.set(f.held + into.Bytes())
		})
	}
	if len(p.unsettled) > 0 {
		if err := rows(readParquet(t.paths(p.unsettled), withPosition(t.raw)), nil); err != nil {
			return err
		}
	}
	if len(p.hot) > 0 {
		if err := rows(t.hotScan(p.rules.stored(t.plan.time)), t.hotWhere(p)); err != nil {
			return err
		}
	}
	if len(p.folded) == 0 {
		return nil
	}
	stored := p.rules.storedColumns()
	sql := fmt.Sprintf("SELECT %s FROM %s", columnList(stored, ""), readParquet(t.paths(p.folded), stored))
	return f.addFolded(ctx, sql, p.rules.plan, into)
}

func (f *folding) addFolded(ctx context.Context, sql string, plan *rollup.BucketPlan, into *fold.Folder) error {
	return f.session.Records(ctx, sql, plan.FoldedSchema(), f.mem, func(rec arrow.RecordBatch) error {
		f.rows += rec.NumRows()
		if err := into.AddFolded(rec); err != nil {
			return err
		}
		return f.hold.set(f.held + into.Bytes())
	})
}

// fold gives what a new folder holds once fill has filled it. The caller releases the batches, also after an error.
func (f *folding) fold(ctx context.Context, plan *rollup.BucketPlan, fill func(*fold.Folder) error) ([]arrow.RecordBatch, error) {
	folder, err := fold.New(plan, f.mem)
	if err != nil {
		return nil, err
	}
	defer folder.Release()
	if err := fill(folder); err != nil {
		return nil, err
	}
	var out []arrow.RecordBatch
	own := folder.Bytes() // the folder gives its memory back at the end only
	err = folder.Flush(ctx, maxFoldedBatchRows, func(rec arrow.RecordBatch) error {
		rec.Retain()
		out = append(out, rec)
		f.held += recordBytes(rec)
		return f.hold.set(f.held + own)
	})
	if err != nil {
		return out, err
	}
	return out, f.hold.set(f.held)
}

func releaseAll(batches []arrow.RecordBatch) {
	for _, b := range batches {
		b.Release()
	}
}

// recordBytes is the memory that the values of a record take.
func recordBytes(rec arrow.RecordBatch) int64 {
	var sum int64
	for _, c := range rec.Columns() {
		for _, b := range c.Data().Buffers() {
			if b != nil {
				sum += int64(b.Cap())
			}
		}
	}
	return sum
}

// readColumns are the columns of raw rows that folding reads: the dimensions, and what the metrics aggregate.
func (r *rules) readColumns(raw []segment.Column) []segment.Column {
	return r.readColumnsFor(raw, func(string) bool { return true })
}

// readColumnsFor are those that matter where only the metrics that shown names are looked at.
func (r *rules) readColumnsFor(raw []segment.Column, shown func(metric string) bool) []segment.Column {
	need := map[string]bool{segment.TimeColumn: true}
	for _, c := range r.plan.Dimensions() {
		need[c.Name] = true
	}
	for _, m := range r.plan.Metrics().Metrics() {
		if !shown(m.Name) {
			continue
		}
		for _, name := range m.Fields {
			need[name] = true
		}
		need[m.TimeColumn] = true
		if m.Filter != nil {
			for _, name := range m.Filter.Columns() {
				need[name] = true
			}
		}
	}
	var out []segment.Column
	for _, c := range raw {
		if need[c.Name] {
			out = append(out, c)
		}
	}
	return out
}

// foldedScan lays folded rows out as a table of their stored columns.
func (r *rules) foldedScan(batches []arrow.RecordBatch) duckdb.Scan {
	columns := r.storedColumns()
	index := make([]int, len(columns))
	for i := range index {
		index[i] = i
	}
	return duckdb.Scan{Columns: scanColumns(columns), Parts: []duckdb.ScanPart{{Records: batches, Columns: index}}}
}

// layoutOf is the Arrow form of columns.
func layoutOf(columns []segment.Column) (*arrow.Schema, error) {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		t, err := segment.ArrowType(c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		fields[i] = arrow.Field{Name: c.Name, Type: t, Nullable: true}
	}
	return arrow.NewSchema(fields, nil), nil
}
