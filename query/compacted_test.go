package query

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/rollup/fold"
	"drumlin/segment"
)

// compacted is a table with the least model of compaction: which rows have survived it, and which identities it knows. What it
// writes comes from the rows of the log and never from what was written before.
type compacted struct {
	w      *world
	tab    *worldTable
	own    *rollup.Definition // plan 0
	hours  map[int64]*hourModel
	number int // of objects
}

// hourModel is what compaction has made of one hour.
type hourModel struct {
	absorbed  map[placed]bool
	survivors []placedRow
	known     map[string]bool // keys in the sidecar
	dropped   bool
}

type placed struct {
	partition int32
	offset    int64
}

type placedRow struct {
	placed
	worldRow
}

func (c *compacted) rollup() bool { return c.own != nil && c.own.Rollup }

// newCompacted makes a table of a datasource that has a plan.
func newCompacted(w *world, name string, dedup bool, partitions int, columns []segment.Column, dimensions []string, own *rollup.Definition) *compacted {
	tab := w.table(name, dedup, partitions, columns...)
	c := &compacted{w: w, tab: tab, own: own, hours: map[int64]*hourModel{}}
	tab.schema.Dimensions, tab.schema.SortBy = dimensions, append([]string{segment.TimeColumn}, dimensions...)
	for _, col := range tab.schema.Columns {
		if !slices.Contains(dimensions, col.Name) {
			tab.schema.Inputs = append(tab.schema.Inputs, col.Name)
		}
	}
	if c.rollup() {
		metrics, err := rollup.Compile(own.Metrics, tab.schema.Columns)
		if err != nil {
			w.t.Fatal(err)
		}
		for i, f := range metrics.StateFields() {
			tab.schema.States = append(tab.schema.States, segment.Column{ID: 500 + int32(i), Name: f.Name, Type: storedType(f.Type)})
		}
	}
	if err := tab.schema.Validate(); err != nil {
		w.t.Fatal(err)
	}
	if !own.Identity() {
		tab.datasource.Plan = c.canonical(own)
	}
	return c
}

func (c *compacted) canonical(d *rollup.Definition) []byte {
	c.w.t.Helper()
	text, err := d.Canonical()
	if err != nil {
		c.w.t.Fatal(err)
	}
	return text
}

func (c *compacted) definition(text []byte) *rollup.Definition {
	c.w.t.Helper()
	if len(text) == 0 {
		return nil
	}
	d, err := rollup.ParseDefinition(text)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return d
}

func (c *compacted) compile(d *rollup.Definition) *rollup.BucketPlan {
	c.w.t.Helper()
	p, err := d.Compile(c.tab.schema)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return p
}

func hourOf(millis int64) int64 { return millis - millis%hour }

func (c *compacted) hour(start int64) *hourModel {
	h := c.hours[start]
	if h == nil {
		h = &hourModel{absorbed: map[placed]bool{}, known: map[string]bool{}}
		c.hours[start] = h
	}
	return h
}

// live are the rows of an hour below the ends (by partition) that count before the plan: survivors, and later rows.
func (c *compacted) live(start int64, ends func(p *worldPartition) int64) []placedRow {
	h := c.hour(start)
	if h.dropped {
		return nil
	}
	rows := slices.Clone(h.survivors)
	for _, p := range c.tab.partitions {
		for _, r := range p.rows {
			at := placed{p.key.Partition, r.offset}
			if r.reject == "" && r.offset < ends(p) && hourOf(r.millis) == start && !h.absorbed[at] && (r.key == "" || !h.known[r.key]) {
				rows = append(rows, placedRow{at, r})
			}
		}
	}
	slices.SortFunc(rows, func(a, b placedRow) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.placed.offset, b.placed.offset))
	})
	if !c.tab.schema.Dedup {
		return rows
	}
	seen := map[string]bool{}
	folded := map[placed]bool{}
	for _, s := range h.survivors {
		folded[s.placed] = true
	}
	return slices.DeleteFunc(rows, func(r placedRow) bool {
		if r.key == "" || c.rollup() && folded[r.placed] {
			return false
		}
		was := seen[r.key]
		seen[r.key] = true
		return was
	})
}

// compact compacts the buckets from start to end with a plan, as a full compaction does.
func (c *compacted) compact(span segment.Bucket, d *rollup.Definition) {
	c.w.t.Helper()
	plan := c.compile(d)
	var kept []placedRow
	known := map[int64]map[string]bool{}
	for at := span.StartMillis; at < span.EndMillis; at += hour {
		h := c.hour(at)
		rows := c.live(at, func(p *worldPartition) int64 { return p.committed })
		h.survivors = nil
		for _, r := range rows {
			h.absorbed[r.placed] = true
			keep := c.keeps(plan, r)
			if keep {
				h.survivors = append(h.survivors, r)
			}
			if r.key != "" && c.tab.schema.Dedup && (c.rollup() || !keep) {
				h.known[r.key] = true
			}
		}
		for _, p := range c.tab.partitions { // copies have been absorbed too
			for _, r := range p.rows {
				if r.offset < p.committed && hourOf(r.millis) == at {
					h.absorbed[placed{p.key.Partition, r.offset}] = true
				}
			}
		}
		kept = append(kept, h.survivors...)
		known[at] = h.known
	}
	c.install(span, d, plan, kept, known)
}

// drop hides the buckets of a view for ever.
func (c *compacted) drop(view *catalog.BucketView) {
	for _, m := range view.Members {
		c.hour(m.StartMillis).dropped = true
	}
	view.Head, view.Manifest = &catalog.Head{State: catalog.HeadDropped, Absorbed: c.w.revision}, nil
	view.Settled, view.Tail, view.Rejects = nil, nil, nil
	c.w.revision++
}

func (c *compacted) keeps(plan *rollup.BucketPlan, r placedRow) bool {
	c.w.t.Helper()
	if d := plan.Definition(); d == nil || d.Filter == nil {
		return true
	}
	rec := c.record([]placedRow{r})
	defer rec.Release()
	keep, err := plan.Keep(rec)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return keep == nil || keep[0]
}

// record holds rows in the columns of files.
func (c *compacted) record(rows []placedRow) arrow.RecordBatch {
	layout := segment.FileArrowSchema(c.tab.schema)
	b := array.NewRecordBuilder(c.w.alloc, layout)
	defer b.Release()
	for _, r := range rows {
		bucket := segment.Bucket{StartMillis: hourOf(r.millis), EndMillis: hourOf(r.millis) + hour}
		for i, f := range layout.Fields() {
			switch f.Name {
			case segment.TopicColumn:
				b.Field(i).(*array.StringBuilder).Append(c.tab.partitions[0].key.Topic)
			case segment.GenerationColumn:
				b.Field(i).(*array.Int32Builder).Append(0)
			case segment.PartitionColumn:
				b.Field(i).(*array.Int32Builder).Append(r.partition)
			default:
				c.tab.append(b.Field(i), f.Name, r.worldRow, bucket)
			}
		}
	}
	return b.NewRecordBatch()
}

// install writes the rows as settled segments and makes the span one bucket of the view.
func (c *compacted) install(span segment.Bucket, d *rollup.Definition, plan *rollup.BucketPlan, rows []placedRow, known map[int64]map[string]bool) {
	c.w.t.Helper()
	view := &catalog.BucketView{
		Bucket: span, Head: &catalog.Head{State: catalog.HeadRaw, Absorbed: c.w.revision}, Manifest: &catalog.Manifest{},
	}
	if c.rollup() {
		view.Head.State = catalog.HeadFolded
	}
	if !d.Identity() {
		view.PlanSpec = c.canonical(d)
	}
	for at := span.StartMillis; at < span.EndMillis; at += hour {
		view.Members = append(view.Members, segment.Bucket{StartMillis: at, EndMillis: at + hour})
	}
	for bucket := range c.tab.buckets {
		if bucket.StartMillis >= span.StartMillis && bucket.EndMillis <= span.EndMillis {
			delete(c.tab.buckets, bucket)
		}
	}
	c.tab.buckets[span] = view
	c.w.revision++
	if len(rows) > 0 {
		half := len(rows) / 2
		if c.rollup() || half == 0 {
			view.Settled = c.write(span, plan, rows)
		} else {
			view.Settled = append(c.write(span, plan, rows[:half]), c.write(span, plan, rows[half:])...)
		}
	}
	view.Manifest.Sidecars = c.sidecars(span, known)
}

// write makes segments of the rows as the plan leaves them.
func (c *compacted) write(span segment.Bucket, plan *rollup.BucketPlan, rows []placedRow) []segment.Meta {
	c.w.t.Helper()
	rec := c.record(rows)
	defer rec.Release()
	if c.rollup() {
		return c.writeFolded(span, plan, rec)
	}
	shown := c.truncated(plan, rec)
	defer shown.Release()
	return []segment.Meta{c.object(span, shown, plan.SortBy(), 0)}
}

func (c *compacted) writeFolded(span segment.Bucket, plan *rollup.BucketPlan, rec arrow.RecordBatch) []segment.Meta {
	c.w.t.Helper()
	f, err := fold.New(plan, c.w.alloc)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer f.Release()
	if err := f.AddRows(rollup.Rows{Record: rec}, nil); err != nil {
		c.w.t.Fatal(err)
	}
	var out []segment.Meta
	err = f.Flush(context.Background(), 7, func(part arrow.RecordBatch) error {
		events := int64(0)
		for _, n := range part.Column(1).(*array.Int64).Int64Values() {
			events += n
		}
		out = append(out, c.object(span, part, plan.SortBy(), events))
		return nil
	})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return out
}

// truncated gives raw rows as the plan shows them: dropped columns are not there.
func (c *compacted) truncated(plan *rollup.BucketPlan, rec arrow.RecordBatch) arrow.RecordBatch {
	var fields []arrow.Field
	var columns []arrow.Array
	for i, f := range rec.Schema().Fields() {
		user := !strings.HasPrefix(f.Name, "__")
		if user && !slices.ContainsFunc(plan.Dimensions(), func(d segment.Column) bool { return d.Name == f.Name }) {
			continue
		}
		column := rec.Column(i)
		column.Retain()
		if f.Name == segment.TimeColumn {
			b := array.NewTimestampBuilder(c.w.alloc, f.Type.(*arrow.TimestampType))
			for row := range column.Len() {
				b.Append(arrow.Timestamp(plan.Truncate(int64(column.(*array.Timestamp).Value(row)))))
			}
			column.Release()
			column = b.NewArray()
			b.Release()
		}
		fields, columns = append(fields, f), append(columns, column)
	}
	out := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
	for _, col := range columns {
		col.Release()
	}
	return out
}

// object writes one record as a data segment.
func (c *compacted) object(span segment.Bucket, rec arrow.RecordBatch, sortBy []string, events int64) segment.Meta {
	c.w.t.Helper()
	sum, key := c.put(rec, sortBy)
	m := segment.Meta{
		Object: key, Bytes: sum.Bytes, SHA256: sum.SHA256, Kind: segment.KindData, Datasource: c.tab.datasource.Name, Bucket: span,
		Rows: sum.Rows, SchemaID: c.tab.schema.ID, MinMillis: sum.MinMillis, MaxMillis: sum.MaxMillis, Columns: sum.Columns,
		Folded: events > 0, Events: events,
	}
	for _, p := range c.tab.partitions {
		if p.committed > 0 {
			m.Sources = append(m.Sources, segment.OffsetRange{Topic: p.key.Topic, Partition: p.key.Partition, To: p.committed})
		}
	}
	if err := m.Validate(); err != nil {
		c.w.t.Fatal(err)
	}
	return m
}

func (c *compacted) put(rec arrow.RecordBatch, sortBy []string) (*segment.Summary, string) {
	c.w.t.Helper()
	var out bytes.Buffer
	w, err := segment.NewWriter(&out, segment.WriterOptions{Schema: rec.Schema(), SortBy: sortBy, Allocator: c.w.alloc})
	if err != nil {
		c.w.t.Fatal(err)
	}
	if err := w.Write(context.Background(), rec); err != nil {
		c.w.t.Fatal(err)
	}
	sum, err := w.Close()
	if err != nil {
		c.w.t.Fatal(err)
	}
	c.number++
	key := fmt.Sprintf("data/table=%s/compacted-%d.parquet", c.tab.datasource.Name, c.number)
	if err := c.w.objects.Put(context.Background(), key, bytes.NewReader(out.Bytes()), sum.Bytes, sum.SHA256); err != nil {
		c.w.t.Fatal(err)
	}
	return sum, key
}
