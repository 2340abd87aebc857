package query

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"drumlin/segment"
)

// TestLogic runs each file of statements three times: with all rows hot, with all rows cold, and with some of both. The
// expected rows stand in the file once, so the answers cannot depend on where rows are.
//
//	table name=events [dedup] [partitions=2] columns=(page:string,n:long)
//	insert table=events [partition=1]
//	<time> <key or -> <values, - for null>
//	query [sort]
func TestLogic(t *testing.T) {
	for _, mode := range []string{"hot", "cold", "mixed"} {
		t.Run(mode, func(t *testing.T) {
			datadriven.Walk(t, "testdata/logic", func(t *testing.T, path string) {
				w := newWorld(t)
				e := w.engine()
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					switch d.Cmd {
					case "table":
						logicTable(t, w, d)
					case "insert":
						logicInsert(t, w, d, mode)
					case "query":
						return logicQuery(e, d)
					default:
						t.Fatalf("%s: command %q is not known", d.Pos, d.Cmd)
					}
					return ""
				})
			})
		})
	}
}

func logicTable(t *testing.T, w *world, d *datadriven.TestData) {
	var name string
	d.ScanArgs(t, "name", &name)
	partitions := 1
	d.MaybeScanArgs(t, "partitions", &partitions)
	var columns []segment.Column
	for _, arg := range d.CmdArgs {
		if arg.Key != "columns" {
			continue
		}
		for _, v := range arg.Vals {
			n, kind, _ := strings.Cut(v, ":")
			columns = append(columns, column(n, segment.ColumnType(kind)))
		}
	}
	w.table(name, d.HasArg("dedup"), partitions, columns...)
}

func logicInsert(t *testing.T, w *world, d *datadriven.TestData, mode string) {
	var name string
	d.ScanArgs(t, "table", &name)
	partition := 0
	d.MaybeScanArgs(t, "partition", &partition)
	tab := w.tables[name]
	p := tab.partitions[partition]
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		at, err := time.Parse("2006-01-02T15:04:05.999", words[0])
		if err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		row := worldRow{millis: at.UnixMilli()}
		if words[1] != "-" {
			row.key = words[1]
		}
		for i, text := range words[2:] {
			row.values = append(row.values, logicValue(t, tab.schema.Columns[i].Type, text))
		}
		p.add(row)
	}
	switch mode {
	case "cold":
		w.commit(tab, p, p.next)
	case "mixed": // all but the last rows, so that every commit ends within an insert
		w.commit(tab, p, p.next-1)
	}
}

func logicValue(t *testing.T, kind segment.ColumnType, text string) any {
	if text == "-" {
		return nil
	}
	switch kind {
	case segment.TypeLong:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	case segment.TypeDouble:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return text
}

func logicQuery(e *Engine, d *datadriven.TestData) string {
	lines, a, err := ask(e, Request{SQL: d.Input})
	if err != nil {
		return fmt.Sprintf("error: %v", err)
	}
	if d.HasArg("sort") {
		sort.Strings(lines)
	}
	var head []string
	for _, c := range a.Columns {
		head = append(head, c.Name+":"+c.SQLType)
	}
	return strings.Join(head, " ") + "\n" + strings.Join(lines, "\n")
}
