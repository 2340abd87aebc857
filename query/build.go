package query

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/duckdb"
	"drumlin/query/cache"
	"drumlin/segment"
	"drumlin/spec"
)

// builder makes the views of one query: from a snapshot, through plans, to temporary views in a session.
type builder struct {
	snap     *snapshot
	mentions []mention
	internal map[string]string // table → name of its view
	plans    map[string]*tablePlan
	tables   map[string]*tableRules // by the table that a plan is for
	mem      memory.Allocator       // of what is folded
	hold     *foldHold
	stats    Stats
}

func newBuilder(s *snapshot, a *admitted, mem memory.Allocator, budget *foldBudget) *builder {
	return &builder{
		snap: s, mentions: a.mentions, internal: map[string]string{}, plans: map[string]*tablePlan{},
		tables: map[string]*tableRules{}, mem: mem, hold: &foldHold{budget: budget},
	}
}

// plan decides what each table needs. The order of tables, and so the views' names, follow the tables' names.
func (b *builder) plan(tables map[string]bool) error {
	for i, table := range slices.Sorted(maps.Keys(tables)) {
		b.internal[table] = fmt.Sprintf("%st%d", internalPrefix, i)
		name, ok := strings.CutPrefix(table, datasourcePrefix)
		if !ok {
			continue
		}
		ds := b.snap.datasources[name]
		rules := ds.need.rules
		b.tables[table] = rules
		in, err := ds.planInput(rules)
		if err != nil {
			return err
		}
		for _, m := range b.mentions {
			if m.table == table {
				in.mentions = append(in.mentions, m.conditions)
			}
		}
		p := planTable(in)
		b.plans[table] = &p
		for _, part := range p.parts {
			b.stats.Segments += len(part.segments())
		}
		b.stats.PrunedSegments += p.pruned
		b.stats.DedupRows += p.dedupRows
	}
	return nil
}

// readable refuses a bucket whose head says something about its rows that this version does not apply: an answer without
// it would be wrong.
func readable(b *catalog.BucketView) error {
	switch {
	case b.Head == nil || b.Dropped():
		return nil
	case b.Head.State != catalog.HeadRaw && b.Head.State != catalog.HeadFolded:
		return fmt.Errorf("the bucket at %s holds rows in the state %q, which this version cannot read", spec.FormatInstant(b.Bucket.StartMillis), b.Head.State)
	case b.Manifest == nil || len(b.Manifest.Deletions) > 0:
		return fmt.Errorf("the bucket at %s has rows marked as deleted, which this version cannot leave out", spec.FormatInstant(b.Bucket.StartMillis))
	}
	return nil
}

func (ds *datasourceSnapshot) planInput(t *tableRules) (planInput, error) {
	in := planInput{dedup: ds.view.Schema.Dedup, columns: t.prunable(), schemas: ds.view.Schemas, rules: t.list}
	for _, b := range ds.view.Buckets {
		if err := readable(b); err != nil {
			return in, fmt.Errorf("datasource %s: %w", ds.view.Name, err)
		}
		bucket := bucketInput{bucket: b.Bucket, dropped: b.Dropped(), rules: t.byText[string(b.PlanSpec)], settled: b.Settled}
		for _, s := range b.Tail {
			bucket.tail = append(bucket.tail, tailInput{s.Meta, s.Unit})
		}
		if b.Manifest != nil && !b.Dropped() {
			for _, s := range b.Manifest.Sidecars {
				bucket.sidecars = append(bucket.sidecars, sidecarMeta(s))
			}
		}
		in.buckets = append(in.buckets, bucket)
	}
	chunk, err := chunkOf(ds.view)
	if err != nil {
		return in, err
	}
	for _, p := range ds.partitions {
		if p.hot == nil {
			continue
		}
		counts, err := hotBuckets(p.hot, chunk)
		if err != nil {
			return in, fmt.Errorf("partition %s: %w", partitionName(p.key), err)
		}
		for bucket, c := range counts {
			in.hot = append(in.hot, hotCount{bucket, c.Rows})
		}
	}
	return in, nil
}

// sidecarMeta describes a sidecar to the cache.
func sidecarMeta(s catalog.Sidecar) segment.Meta {
	return segment.Meta{Object: s.Object, Bytes: s.Bytes, SHA256: s.SHA256, Kind: segment.KindIDs, Bucket: s.Bucket, Rows: s.Rows}
}

// segments are all objects that any view reads.
func (b *builder) segments() []segment.Meta {
	var out []segment.Meta
	for _, p := range b.plans {
		for _, part := range p.parts {
			out = append(out, part.segments()...)
		}
		out = append(append(out, p.narrow...), p.sidecars...)
	}
	if _, ok := b.internal["sys.rejects"]; ok {
		for _, g := range coldRejects(b.snap) {
			out = append(out, g.segments...)
		}
	}
	return out
}

func (b *builder) makeViews(ctx context.Context, session *duckdb.Session, pins *cache.Pins) error {
	for _, table := range slices.Sorted(maps.Keys(b.internal)) {
		var err error
		switch {
		case b.plans[table] != nil:
			err = b.datasourceView(ctx, session, pins, table)
		case table == "sys.rejects":
			err = b.rejectsView(ctx, session, pins)
		default:
			err = b.systemView(ctx, session, table)
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}

func pathsOf(pins *cache.Pins) func([]segment.Meta) []string {
	return func(segments []segment.Meta) []string {
		out := make([]string, len(segments))
		for i, m := range segments {
			out[i] = pins.Path(m.Object)
		}
		return out
	}
}

func (b *builder) datasourceView(ctx context.Context, session *duckdb.Session, pins *cache.Pins, table string) error {
	ds, plan := b.snap.datasources[strings.TrimPrefix(table, datasourcePrefix)], b.plans[table]
	t := &tableSQL{
		name: b.internal[table], columns: b.tables[table].columns(), raw: rawColumns(ds.view.Schema), paths: pathsOf(pins), plan: plan,
	}
	if plan.readsHot() {
		var err error
		if t.hotToken, err = session.AddScan(ds.hotScan()); err != nil {
			return err
		}
	}
	if len(plan.narrow) > 0 || plan.hotDedup {
		if err := b.findLosers(ctx, session, t, ds); err != nil {
			return fmt.Errorf("find copies: %w", err)
		}
	}
	folded := map[*planPart]foldedScan{}
	for _, part := range plan.parts {
		if !part.rules.rollup() {
			continue
		}
		work := &folding{session: session, mem: b.mem, hold: b.hold, held: b.hold.bytes}
		var err error
		if folded[part], err = work.run(ctx, t, part); err != nil {
			return fmt.Errorf("roll up: %w", err)
		}
		b.stats.FoldedRows += work.rows
	}
	sql, err := t.view(folded)
	if err != nil {
		return err
	}
	return session.Exec(ctx, sql)
}

// findLosers makes the table of copies that lose, where there are some.
func (b *builder) findLosers(ctx context.Context, session *duckdb.Session, t *tableSQL, ds *datasourceSnapshot) error {
	t.position = newPositionCode(ds.sources(t.plan)).sql()
	losers := t.name + "_losers"
	if err := session.Exec(ctx, t.findLosers(losers)); err != nil {
		return err
	}
	n, err := countRows(ctx, session, losers)
	if err != nil {
		return err
	}
	if n > 0 {
		t.losers = losers
	}
	b.stats.Losers += n
	return nil
}

func countRows(ctx context.Context, session *duckdb.Session, table string) (int64, error) {
	r, err := session.Query(ctx, "SELECT count(*) FROM "+quoteName(table), nil)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if !r.Next() {
		return 0, fmt.Errorf("count of %s gave no row", table)
	}
	n, ok := r.Int64(0, 0)
	if !ok {
		return 0, fmt.Errorf("count of %s gave no number", table)
	}
	return n, nil
}

// sources are the ranges of every row that may enter the comparison of positions.
func (ds *datasourceSnapshot) sources(plan *tablePlan) []segment.OffsetRange {
	var out []segment.OffsetRange
	for _, m := range plan.narrow {
		out = append(out, m.Sources...)
	}
	for _, part := range plan.parts {
		for _, m := range part.unsettled {
			out = append(out, m.Sources...)
		}
	}
	for _, p := range ds.partitions {
		if p.hot != nil {
			out = append(out, p.hot.OffsetRange)
		}
	}
	return out
}

// hotScan lays all hot rows of the datasource out as one table: the user's columns, the identity and the position.
func (ds *datasourceSnapshot) hotScan() duckdb.Scan {
	columns := append(append(rawColumns(ds.view.Schema), identityColumns...), positionColumns...)
	scan := duckdb.Scan{Columns: scanColumns(columns)}
	for _, p := range ds.partitions {
		if p.hot != nil {
			scan.Parts = append(scan.Parts, partsOf(columns, p.hot.Data, p.positionConstants())...)
		}
	}
	return scan
}

func (p *partitionSnapshot) positionConstants() map[string]any {
	return map[string]any{
		segment.TopicColumn: p.key.Topic, segment.GenerationColumn: p.offset.Generation,
		segment.PartitionColumn: p.key.Partition,
	}
}

func scanColumns(columns []segment.Column) []duckdb.ScanColumn {
	out := make([]duckdb.ScanColumn, len(columns))
	for i, c := range columns {
		out[i] = duckdb.ScanColumn{Name: c.Name, Type: c.Type}
	}
	return out
}

// partsOf groups batches by layout: batches of an older schema lack columns, which read as nulls.
func partsOf(columns []segment.Column, batches []segment.HotBatch, constants map[string]any) []duckdb.ScanPart {
	var parts []duckdb.ScanPart
	var layout *arrow.Schema
	for _, batch := range batches {
		if s := batch.Record.Schema(); layout == nil || !(s == layout || s.Equal(layout)) {
			layout = s
			parts = append(parts, newPart(columns, s, constants))
		}
		p := &parts[len(parts)-1]
		p.Records = append(p.Records, batch.Record)
		p.Bounds = append(p.Bounds, duckdb.TimeBounds{
			MinMicros: satMicros(batch.MinMillis), MaxMicros: satAdd(satMicros(batch.MaxMillis), 999),
		})
	}
	return parts
}

func newPart(columns []segment.Column, layout *arrow.Schema, constants map[string]any) duckdb.ScanPart {
	p := duckdb.ScanPart{Columns: make([]int, len(columns)), Constants: make([]any, len(columns))}
	for i, c := range columns {
		p.Columns[i] = -1
		if at := layout.FieldIndices(c.Name); len(at) > 0 {
			p.Columns[i] = at[0]
		} else {
			p.Constants[i] = constants[c.Name]
		}
	}
	return p
}

func (b *builder) systemView(ctx context.Context, session *duckdb.Session, table string) error {
	rows, err := systemRows(ctx, table, b.snap)
	if err != nil {
		return err
	}
	columns := systemTables[table]
	scan, record, err := rowScan(columns, rows)
	if err != nil {
		return err
	}
	defer record.Release()
	token, err := session.AddScan(scan)
	if err != nil {
		return err
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quoteName(c.name)
	}
	return session.Exec(ctx, fmt.Sprintf("CREATE TEMP VIEW %s AS SELECT %s FROM drumlin_scan(%d)",
		quoteName(b.internal[table]), strings.Join(names, ", "), token))
}
