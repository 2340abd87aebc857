package query

import (
	"fmt"
	"math"
	"strings"

	"drumlin/segment"
)

// sqlTypes are the SQL forms of column types. JSON columns are text: DuckDB's JSON functions and operators take it,
// and no value is parsed before one of them asks for it.
var sqlTypes = map[segment.ColumnType]string{
	segment.TypeTime: "TIMESTAMP", segment.TypeString: "VARCHAR", segment.TypeJSON: "VARCHAR", segment.TypeLong: "BIGINT",
	segment.TypeDouble: "DOUBLE", segment.TypeFloat: "FLOAT", segment.TypeInt: "INTEGER", segment.TypeUUID: "BLOB",
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

// userColumns are the columns of SELECT *: __time, the dimensions in the spec's order, then columns that no spec fills
// any more, by id.
func userColumns(s *segment.Schema) []segment.Column {
	out := []segment.Column{timeColumnDef}
	byName := map[string]segment.Column{}
	for _, c := range s.Columns {
		byName[c.Name] = c
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

// tableSQL builds the statements of one datasource's view.
type tableSQL struct {
	name     string // of the view
	columns  []segment.Column
	position string // positionCode.sql; empty where no copies can be
	losers   string // name of the table of losers; empty where there are none
	paths    func([]segment.Meta) []string
	hotToken int64 // of the scan over hot rows
	plan     *tablePlan
}

// view is the statement that makes the view. Each branch keeps the columns by name, so that a filter reaches Parquet.
func (t *tableSQL) view() string {
	names := columnList(t.columns, "")
	var branches []string
	if len(t.plan.settled) > 0 {
		branches = append(branches, fmt.Sprintf("SELECT %s FROM %s", names, readParquet(t.paths(t.plan.settled), t.columns)))
	}
	if len(t.plan.unsettled) > 0 {
		branches = append(branches, t.withoutLosers(
			readParquet(t.paths(t.plan.unsettled), withPosition(t.columns)), ""))
	}
	if t.plan.hotData {
		branches = append(branches, t.withoutLosers(t.hotScan(t.plan.time), t.notHidden()))
	}
	if len(branches) == 0 {
		branches = append(branches, noRows(t.columns))
	}
	return fmt.Sprintf("CREATE TEMP VIEW %s AS %s", quoteName(t.name), strings.Join(branches, " UNION ALL "))
}

// withoutLosers reads a source with an anti join on the positions of losers.
func (t *tableSQL) withoutLosers(source, where string) string {
	if t.losers == "" {
		return fmt.Sprintf("SELECT %s FROM %s%s", columnList(t.columns, ""), source, where)
	}
	return fmt.Sprintf("SELECT %s FROM (SELECT *, %s AS %sposition FROM %s%s) r ANTI JOIN %s l ON r.%sposition = l.position",
		columnList(t.columns, "r."), t.position, internalPrefix, source, where, quoteName(t.losers), internalPrefix)
}

// findLosers is the statement that makes the table of losers: the positions of all copies but the first. Rows without
// an identity are nobody's copies.
func (t *tableSQL) findLosers(name string) string {
	var branches []string
	columns := append(append([]segment.Column(nil), identityColumns...), positionColumns...)
	row := fmt.Sprintf("SELECT %s, %s, %s AS position FROM ", segment.IDHighColumn, segment.IDLowColumn, t.position)
	known := fmt.Sprintf(" %s IS NOT NULL AND %s IS NOT NULL", segment.IDHighColumn, segment.IDLowColumn)
	if len(t.plan.narrow) > 0 {
		branches = append(branches, row+readParquet(t.paths(t.plan.narrow), columns)+" WHERE"+known)
	}
	if t.plan.hotDedup { // hot rows of dropped buckets may take part: they meet only each other
		branches = append(branches, row+t.hotScan(t.plan.narrowTime)+" WHERE"+known)
	}
	return fmt.Sprintf(`CREATE TEMP TABLE %s AS WITH candidates AS (%s), copied AS (SELECT %s AS hi, %s AS lo, min(position) AS winner FROM candidates GROUP BY ALL HAVING count(*) > 1) SELECT position FROM candidates JOIN copied ON %s = hi AND %s = lo WHERE position <> winner`,
		quoteName(name), strings.Join(branches, " UNION ALL "), segment.IDHighColumn, segment.IDLowColumn,
		segment.IDHighColumn, segment.IDLowColumn)
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

// notHidden leaves the hot rows of dropped buckets out.
func (t *tableSQL) notHidden() string {
	var parts []string
	for _, b := range t.plan.hidden {
		parts = append(parts, fmt.Sprintf("NOT (%[1]s >= make_timestamp(%[2]d) AND %[1]s < make_timestamp(%[3]d))",
			segment.TimeColumn, satMicros(b.StartMillis), satMicros(b.EndMillis)))
	}
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
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
		parts[i] = fmt.Sprintf("CAST(NULL AS %s) AS %s", sqlTypes[c.Type], quoteName(c.Name))
	}
	return "SELECT " + strings.Join(parts, ", ") + " LIMIT 0"
}

func columnList(columns []segment.Column, qualifier string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = qualifier + quoteName(c.Name)
	}
	return strings.Join(names, ", ")
}
