package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/duckdb"
	"drumlin/segment"
)

// systemColumn is a column of a system table: text unless it is a number.
type systemColumn struct {
	name string
	kind segment.ColumnType
}

// systemTables are the tables beside the datasources, by schema and name in lower case, with their columns. Names and
// order are Druid's; our own columns stand at the end.
var systemTables = map[string][]systemColumn{
	"sys.segments": systemColumns(`segment_id datasource start end size:n version partition_num:n num_replicas:n num_rows:n
		is_active:n is_published:n is_available:n is_realtime:n is_overshadowed:n shard_spec dimensions metrics
		last_compaction_state replication_factor:n state topic partition:n from_offset:n to_offset:n object events:n rollup_ratio:d`),
	"sys.chunks": systemColumns(chunkColumns),
	"sys.tasks":  systemColumns(taskColumns),
	"sys.supervisors": systemColumns(`supervisor_id state detailed_state healthy:n type source suspended:n spec datasource
		version:n partitions:n`),
	"sys.servers": systemColumns(`server host plaintext_port:n tls_port:n server_type tier current_size:n max_size:n is_leader:n
		version node roles hot_rows_address is_leaving:n partitions:n`),
	"sys.rejects": systemColumns(`datasource supervisor topic generation:n partition:n offset:n timestamp:t reason message raw
		raw_bytes:n`),
	"information_schema.schemata": systemColumns(`CATALOG_NAME SCHEMA_NAME SCHEMA_OWNER DEFAULT_CHARACTER_SET_CATALOG
		DEFAULT_CHARACTER_SET_SCHEMA DEFAULT_CHARACTER_SET_NAME SQL_PATH`),
	"information_schema.tables": systemColumns(`TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_TYPE IS_JOINABLE IS_BROADCAST`),
	"information_schema.columns": systemColumns(`TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION:n
		COLUMN_DEFAULT IS_NULLABLE DATA_TYPE CHARACTER_MAXIMUM_LENGTH:n CHARACTER_OCTET_LENGTH:n NUMERIC_PRECISION:n
		NUMERIC_PRECISION_RADIX:n NUMERIC_SCALE:n DATETIME_PRECISION:n CHARACTER_SET_NAME COLLATION_NAME JDBC_TYPE:n`),
}

func systemColumns(text string) []systemColumn {
	var out []systemColumn
	for _, word := range strings.Fields(text) {
		name, kind, _ := strings.Cut(word, ":")
		c := systemColumn{name, segment.TypeString}
		switch kind {
		case "n":
			c.kind = segment.TypeLong
		case "d":
			c.kind = segment.TypeDouble
		case "t":
			c.kind = segment.TypeTime
		}
		out = append(out, c)
	}
	return out
}

// systemRows gives the rows of a system table that is built from the snapshot alone. A value is a string, an int64, a
// float64 or nil.
func systemRows(ctx context.Context, table string, s *snapshot) ([][]any, error) {
	switch table {
	case "sys.segments":
		return segmentRows(s)
	case "sys.chunks":
		return chunkRows(s.view), nil
	case "sys.tasks":
		return taskRows(s.view, time.Now().UnixMilli()), nil
	case "sys.supervisors":
		return supervisorRows(s.view, runningStates(ctx, s.states, s.log)), nil
	case "sys.servers":
		return serverRows(s.view), nil
	case "information_schema.schemata":
		return schemaRows(), nil
	case "information_schema.tables":
		return tableRows(s.view), nil
	case "information_schema.columns":
		return columnRows(s.view)
	}
	return nil, fmt.Errorf("system table %s has no rows of its own", table)
}

// rowScan puts rows into one Arrow batch. The session that the scan is given to keeps its own reference: the caller
// releases the record.
func rowScan(columns []systemColumn, rows [][]any) (duckdb.Scan, arrow.RecordBatch, error) {
	var scan duckdb.Scan
	fields := make([]arrow.Field, len(columns))
	index := make([]int, len(columns))
	for i, c := range columns {
		t, err := segment.ArrowType(c.kind)
		if err != nil {
			return scan, nil, err
		}
		fields[i], index[i] = arrow.Field{Name: c.name, Type: t, Nullable: true}, i
		scan.Columns = append(scan.Columns, duckdb.ScanColumn{Name: c.name, Type: c.kind})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	for _, row := range rows {
		for i, v := range row {
			if err := appendValue(b.Field(i), v); err != nil {
				return scan, nil, fmt.Errorf("column %s: %w", columns[i].name, err)
			}
		}
	}
	record := b.NewRecordBatch()
	scan.Parts = []duckdb.ScanPart{{Records: []arrow.RecordBatch{record}, Columns: index}}
	return scan, record, nil
}

func appendValue(b array.Builder, v any) error {
	switch v := v.(type) {
	case nil:
		b.AppendNull()
		return nil
	case string:
		if b, ok := b.(*array.StringBuilder); ok {
			b.Append(strings.ToValidUTF8(v, "\uFFFD"))
			return nil
		}
	case int64:
		if b, ok := b.(*array.Int64Builder); ok {
			b.Append(v)
			return nil
		}
	case float64:
		if b, ok := b.(*array.Float64Builder); ok {
			b.Append(v)
			return nil
		}
	}
	return fmt.Errorf("a value of type %T does not fit", v)
}
