package query

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"drumlin/segment"
	"drumlin/spec"
)

// sqlTypes are the SQL forms of column types. JSON columns are text: DuckDB's JSON functions and operators take it,
// and no value is parsed before one of them asks for it.
var sqlTypes = map[segment.ColumnType]string{
	segment.TypeTime: "TIMESTAMP", segment.TypeString: "VARCHAR", segment.TypeJSON: "VARCHAR", segment.TypeLong: "BIGINT",
	segment.TypeDouble: "DOUBLE", segment.TypeFloat: "FLOAT", segment.TypeInt: "INTEGER", segment.TypeUUID: "BLOB", segment.TypeBinary: "BLOB",
}

var (
	timeColumnDef   = segment.Column{ID: segment.TimeColumnID, Name: segment.TimeColumn, Type: segment.TypeTime}
	identityColumns = []segment.Column{
		{ID: segment.IDHighColumnID, Name: segment.IDHighColumn, Type: segment.TypeLong},
		{ID: segment.IDLowColumnID, Name: segment.IDLowColumn, Type: segment.TypeLong},
	}
	positionColumns = []segment.Column{
		{ID: segment.TopicColumnID, Name: segment.TopicColumn, Type: segment.TypeString},
		{ID: segment.GenerationColumnID, Name: segment.GenerationColumn, Type: segment.TypeInt},
		{ID: segment.PartitionColumnID, Name: segment.PartitionColumn, Type: segment.TypeInt},
		{ID: segment.OffsetColumnID, Name: segment.OffsetColumn, Type: segment.TypeLong},
	}
)

// tableDimensions are the columns of a table without rollup after __time: the dimensions in the spec's order, then
// columns that no spec fills any more, by id.
func tableDimensions(s *segment.Schema) []segment.Column {
	var out []segment.Column
	byName := map[string]segment.Column{}
	for _, c := range s.Columns {
		if !slices.Contains(s.Inputs, c.Name) {
			byName[c.Name] = c
		}
	}
	for _, name := range s.Dimensions {
		if c, ok := byName[name]; ok {
			out = append(out, c)
			delete(byName, name)
		}
	}
	for _, c := range s.Columns {
		if _, left := byName[c.Name]; left {
			out = append(out, c)
		}
	}
	return out
}

// rawColumns are the user's columns that raw rows have: those of the table's dimensions and those that metrics read.
func rawColumns(s *segment.Schema) []segment.Column {
	return append([]segment.Column{timeColumnDef}, s.Columns...)
}

// tableSQL builds the statements of one datasource's view.
type tableSQL struct {
	name     string // of the view
	columns  []tableColumn
	raw      []segment.Column // rawColumns
	position string           // positionCode.sql; empty where no copies can be
	losers   string           // name of the table of losers; empty where there are none
	paths    func([]segment.Meta) []string
	hotToken int64 // of the scan over hot rows
	plan     *tablePlan
}

// view is the statement that makes the view. folded are the scans over what has been folded for it, by part.
func (t *tableSQL) view(folded map[*planPart]foldedScan) (string, error) {
	var branches []string
	for _, p := range t.plan.parts {
		if p.rules.rollup() {
			branches = append(branches, t.foldedBranches(p, folded[p])...)
			continue
		}
		raw, err := t.rawBranches(p)
		if err != nil {
			return "", err
		}
		branches = append(branches, raw...)
	}
	if len(branches) == 0 {
		branches = append(branches, noRows(plainColumns(t.columns)))
	}
	return fmt.Sprintf("CREATE TEMP VIEW %s AS %s", quoteName(t.name), strings.Join(branches, " UNION ALL ")), nil
}

// rawBranches show rows one by one. Columns keep their names, so that a filter reaches Parquet.
func (t *tableSQL) rawBranches(p *planPart) ([]string, error) {
	var branches []string
	columns := plainColumns(t.columns)
	if len(p.settled) > 0 {
		branches = append(branches, fmt.Sprintf("SELECT %s FROM %s", columnList(columns, ""), readParquet(t.paths(p.settled), columns)))
	}
	where, err := p.rules.where(t.raw)
	if err != nil {
		return nil, err
	}
	shown := p.rules.shownColumns(t.columns, "r.")
	if len(p.unsettled) > 0 {
		branches = append(branches, t.withoutLosers(shown, readParquet(t.paths(p.unsettled), withPosition(t.raw)), where))
	}
	if len(p.hot) > 0 {
		branches = append(branches, t.withoutLosers(shown, t.hotScan(p.rules.stored(t.plan.time)), append(t.hotWhere(p), where...)))
	}
	return branches, nil
}

// shownColumns are the table's columns as the rules make them of raw rows.
func (r *rules) shownColumns(columns []tableColumn, qualifier string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		name := quoteName(c.Name)
		switch {
		case c.Name == segment.TimeColumn && !r.granularity().IsZero():
			parts[i] = fmt.Sprintf("%s AS %s", floorSQL(qualifier+name, r.granularity()), name)
		case c.Name == segment.TimeColumn || r.keeps(c.Name):
			parts[i] = qualifier + name
		default:
			parts[i] = nullColumn(c.Column)
		}
	}
	return strings.Join(parts, ", ")
}

// floorSQL is the start of the chunk that holds a time. Druid's periods begin where the granularities do.
func floorSQL(value string, g spec.Granularity) string {
	return fmt.Sprintf("drumlin_floor(%s, '%s')", value, periods[g.String()])
}

// periods are the granularities as drumlin_floor reads them.
var periods = map[string]string{
	"second": "PT1S", "minute": "PT1M", "five_minute": "PT5M", "ten_minute": "PT10M", "fifteen_minute": "PT15M",
	"thirty_minute": "PT30M", "hour": "PT1H", "six_hour": "PT6H", "eight_hour": "PT8H", "day": "P1D", "week": "P1W",
	"month": "P1M", "quarter": "P3M", "year": "P1Y",
}

// where are the conditions that the rules put on raw rows.
func (r *rules) where(columns []segment.Column) ([]string, error) {
	d := r.plan.Definition()
	if d == nil || d.Filter == nil {
		return nil, nil
	}
	types := map[string]segment.ColumnType{}
	for _, c := range columns {
		types[c.Name] = c.Type
	}
	sql, err := filterSQL(d.Filter, types)
	return []string{sql}, err
}

// withoutLosers selects from a source of raw rows, named r, with an anti join on the positions of losers.
func (t *tableSQL) withoutLosers(list, source string, where []string) string {
	condition := ""
	if len(where) > 0 {
		condition = " WHERE " + strings.Join(where, " AND ")
	}
	if t.losers == "" {
		return fmt.Sprintf("SELECT %s FROM (SELECT * FROM %s%s) r", list, source, condition)
	}
	return fmt.Sprintf("SELECT %s FROM (SELECT *, %s AS %sposition FROM %s%s) r ANTI JOIN %s l ON r.%sposition = l.position",
		list, t.position, internalPrefix, source, condition, quoteName(t.losers), internalPrefix)
}

// findLosers is the statement that makes the table of losers: the positions of all copies but the first, and of all rows
// whose identity a sidecar knows. Rows without an identity are nobody's copies.
func (t *tableSQL) findLosers(name string) string {
	var branches []string
	columns := append(append([]segment.Column(nil), identityColumns...), positionColumns...)
	row := fmt.Sprintf("SELECT %s AS hi, %s AS lo, %s AS position FROM ", segment.IDHighColumn, segment.IDLowColumn, t.position)
	known := fmt.Sprintf(" WHERE %s IS NOT NULL AND %s IS NOT NULL", segment.IDHighColumn, segment.IDLowColumn)
	if len(t.plan.narrow) > 0 {
		branches = append(branches, row+readParquet(t.paths(t.plan.narrow), columns)+known)
	}
	if t.plan.hotDedup { // hot rows of dropped buckets may take part: they meet only each other
		branches = append(branches, row+t.hotScan(t.plan.narrowTime)+known)
	}
	const copied = `copied AS (SELECT hi, lo, min(position) AS winner FROM candidates GROUP BY hi, lo HAVING count(*) > 1)`
	const lost = `SELECT c.position FROM candidates c JOIN copied w ON c.hi = w.hi AND c.lo = w.lo WHERE c.position <> w.winner`
	sql := fmt.Sprintf("CREATE TEMP TABLE %s AS WITH candidates AS (%s), %s %s", quoteName(name), strings.Join(branches, " UNION ALL "), copied, lost)
	if len(t.plan.sidecars) > 0 {
		sql += fmt.Sprintf(" UNION SELECT c.position FROM candidates c SEMI JOIN %s k ON c.hi = k.%s AND c.lo = k.%s",
			readParquet(t.paths(t.plan.sidecars), identityColumns), segment.IDHighColumn, segment.IDLowColumn)
	}
	return sql
}

func (t *tableSQL) hotScan(r timeRange) string {
	args := fmt.Sprint(t.hotToken)
	if r.from != math.MinInt64 {
		args += fmt.Sprintf(", from_micros := %d", r.from)
	}
	if r.to != math.MaxInt64 {
		args += fmt.Sprintf(", to_micros := %d", r.to)
	}
	return "drumlin_scan(" + args + ")"
}

// hotWhere chooses the hot rows of a part: those of the buckets that its rules are in force in. The datasource's own
// rules have what is left by dropped buckets and by the other rules.
func (t *tableSQL) hotWhere(p *planPart) []string {
	if p.rules != t.plan.own {
		return []string{"(" + strings.Join(spans(p.hot, "%s"), " OR ") + ")"}
	}
	var out []string
	others := slices.Clone(t.plan.hidden)
	for _, o := range t.plan.parts {
		if o != p {
			others = append(others, o.hot...)
		}
	}
	return append(out, spans(others, "NOT %s")...)
}

// spans writes buckets as conditions on __time, adjacent ones as one.
func spans(buckets []segment.Bucket, format string) []string {
	buckets = slices.Clone(buckets)
	slices.SortFunc(buckets, func(a, b segment.Bucket) int { return cmp.Compare(a.StartMillis, b.StartMillis) })
	var out []string
	for i := 0; i < len(buckets); {
		from, to := buckets[i].StartMillis, buckets[i].EndMillis
		for i++; i < len(buckets) && buckets[i].StartMillis <= to; i++ {
			to = max(to, buckets[i].EndMillis)
		}
		out = append(out, fmt.Sprintf(format, fmt.Sprintf("(%[1]s >= make_timestamp(%[2]d) AND %[1]s < make_timestamp(%[3]d))",
			segment.TimeColumn, satMicros(from), satMicros(to))))
	}
	return out
}

func withPosition(columns []segment.Column) []segment.Column {
	return append(append([]segment.Column(nil), columns...), positionColumns...)
}

// readParquet names columns by field id, so that a file from before a column existed gives nulls.
func readParquet(paths []string, columns []segment.Column) string {
	quoted := make([]string, len(paths))
	for i, p := range paths {
		quoted[i] = quoteText(p)
	}
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = fmt.Sprintf("%d: {name: %s, type: '%s', default_value: NULL}", c.ID, quoteText(c.Name), sqlTypes[c.Type])
	}
	return fmt.Sprintf("read_parquet([%s], hive_partitioning = false, schema = MAP {%s})",
		strings.Join(quoted, ", "), strings.Join(fields, ", "))
}

func noRows(columns []segment.Column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = nullColumn(c)
	}
	return "SELECT " + strings.Join(parts, ", ") + " LIMIT 0"
}

func nullColumn(c segment.Column) string {
	return fmt.Sprintf("CAST(NULL AS %s) AS %s", sqlTypes[c.Type], quoteName(c.Name))
}

func columnList(columns []segment.Column, qualifier string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = qualifier + quoteName(c.Name)
	}
	return strings.Join(names, ", ")
}
