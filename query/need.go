package query

import (
	"maps"
	"slices"

	"drumlin/catalog"
	"drumlin/segment"
)

// hotNeed is what a query needs of one datasource's hot rows. Less must not be asked for than the plan, which is made
// once the rows are there, may choose: as with cold segments, whatever may decide which copies lose, or belongs to a group
// that is shown, is needed whether or not the statement asks for it.
type hotNeed struct {
	rules   *tableRules // of the datasource's table; nil where the statement reads system tables only
	columns []string    // of data rows, ascending; nil: all
	rejects bool
	time    timeRange // of data rows; it ends where buckets do
}

// needsOf are the datasources that the statement reads at a view, and what it needs of their hot rows.
func (a *admitted) needsOf(view *catalog.View) (map[string]*hotNeed, *Error) {
	tables := a.tables()
	names, err := picked(tables, view)
	if err != nil {
		return nil, err
	}
	needs := map[string]*hotNeed{}
	for _, name := range names {
		n := &hotNeed{columns: []string{}, rejects: tables["sys.rejects"]}
		if tables["sys.segments"] { // rows are counted by bucket
			n.time = allTime
		}
		if tables[datasourcePrefix+name] {
			if err := n.addTable(a, view.Datasources[name]); err != nil {
				return nil, asError(err)
			}
		}
		if n.rejects { // an owner holds the range against rejects too, and their time is Kafka's
			n.time = allTime
		}
		needs[name] = n
	}
	return needs, nil
}

func (a *admitted) tables() map[string]bool {
	out := map[string]bool{}
	for _, m := range a.mentions {
		out[m.table] = true
	}
	return out
}

// addTable adds what the datasource's own table takes.
func (n *hotNeed) addTable(a *admitted, ds *catalog.DatasourceView) error {
	var err error
	if n.rules, err = newTableRules(ds); err != nil {
		return err
	}
	chunk, err := chunkOf(ds)
	if err != nil {
		return err
	}
	var ranges []timeRange
	for _, m := range a.mentions {
		if m.table == datasourcePrefix+ds.Name {
			ranges = append(ranges, timeOf(m.conditions))
		}
	}
	n.time = union(n.time, n.rules.storedBuckets(ds, ranges, chunk))
	reads := func(column string) bool { return a.reads(datasourcePrefix+ds.Name, column) }
	if n.columns = n.rules.rawNeeds(reads); len(n.columns) == len(n.rules.schema.Columns) {
		n.columns = nil
	}
	return nil
}

// rawNeeds are the columns of raw rows from which the rules, all of them, make the columns of the table that are read.
func (t *tableRules) rawNeeds(reads func(column string) bool) []string {
	need := map[string]bool{}
	for _, r := range t.list {
		if d := r.plan.Definition(); d != nil && d.Filter != nil {
			for _, name := range d.Filter.Columns() {
				need[name] = true
			}
		}
		if r.rollup() { // dimensions make groups, read or not
			for _, c := range r.readColumnsFor(rawColumns(t.schema), reads) {
				need[c.Name] = true
			}
		}
	}
	for _, c := range t.schema.Columns {
		if !t.rollup && reads(c.Name) {
			need[c.Name] = true
		}
	}
	out := slices.DeleteFunc(slices.Sorted(maps.Keys(need)), func(name string) bool {
		return !slices.ContainsFunc(t.schema.Columns, func(c segment.Column) bool { return c.Name == name })
	})
	if out == nil {
		out = []string{}
	}
	return out
}

// storedBuckets is a range of times that holds every row that the plan may read for these ranges, in whole buckets: copies
// are searched for in whole buckets, and groups are read whole.
func (t *tableRules) storedBuckets(ds *catalog.DatasourceView, ranges []timeRange, chunk func(millis int64) segment.Bucket) timeRange {
	shown := hull(ranges)
	var out timeRange
	for _, r := range t.list {
		out = union(out, r.stored(shown))
	}
	if out.empty() {
		return out
	}
	if inCalendar(out.from) {
		out.from = satMicros(chunk(segment.FloorMillis(out.from)).StartMillis)
	}
	if inCalendar(out.to) {
		out.to = satMicros(chunk(segment.FloorMillis(out.to - 1)).EndMillis)
	}
	for _, b := range ds.Buckets { // some span several chunks
		if !b.Dropped() && timeOverlaps(ranges, t.list[t.byText[string(b.PlanSpec)]], b.Bucket) {
			out = union(out, timeRange{satMicros(b.Bucket.StartMillis), satMicros(b.Bucket.EndMillis)})
		}
	}
	return out
}

func inCalendar(micros int64) bool { return micros > -maxCalendarMicros && micros < maxCalendarMicros }

// request asks the owner of a partition for what is needed. All times are both bounds 0, and none an empty range beside 0.
func (n *hotNeed) request(p *partitionSnapshot, revision int64) segment.HotRequest {
	r := segment.HotRequest{
		Supervisor: p.key.Supervisor, Topic: p.key.Topic, Generation: p.offset.Generation, Partition: p.key.Partition,
		From: p.offset.Next, Facts: p.offset.Facts, Revision: revision, Columns: n.columns, WithRejects: n.rejects,
	}
	switch {
	case n.time.empty():
		r.FromMillis, r.ToMillis = 1, 1
	case n.time != allTime:
		r.FromMillis = segment.FloorMillis(max(n.time.from, -maxCalendarMicros))
		r.ToMillis = segment.FloorMillis(min(n.time.to, maxCalendarMicros)-1) + 1
	}
	return r
}

// complete refuses rows that lack what was asked for: columns that are not there would read as nulls. A batch has the
// columns of its own schema, which may be older than the newest.
func (n *hotNeed) complete(ds *catalog.DatasourceView, rows *segment.HotRows) string {
	for _, batch := range rows.Data {
		s := ds.Schemas[batch.SchemaID]
		if s == nil {
			return "its owner reads by a schema that the view does not have"
		}
		want := []string{segment.TimeColumn, segment.OffsetColumn}
		if s.Dedup {
			want = append(want, segment.IDHighColumn, segment.IDLowColumn)
		}
		for _, name := range slices.Concat(s.Dimensions, s.Inputs) { // columns beside these are no longer filled
			if n.columns == nil || slices.Contains(n.columns, name) {
				want = append(want, name)
			}
		}
		for _, name := range want {
			if len(batch.Record.Schema().FieldIndices(name)) == 0 {
				return "its owner left out the column " + name
			}
		}
	}
	return ""
}

// sameAsked says whether two requests want the same rows, whatever view they come from.
func sameAsked(a, b segment.HotRequest) bool {
	return a.Supervisor == b.Supervisor && a.Topic == b.Topic && a.Partition == b.Partition && a.Generation == b.Generation && a.From == b.From &&
		a.Facts == b.Facts && a.WithRejects == b.WithRejects && a.FromMillis == b.FromMillis && a.ToMillis == b.ToMillis &&
		(a.Columns == nil) == (b.Columns == nil) && slices.Equal(a.Columns, b.Columns)
}
