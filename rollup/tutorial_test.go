package rollup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/internal/testkit"
	"drumlin/segment"
	"drumlin/spec"
)

// event is a row of an example: a time, dimensions, and values of metrics.
type event struct {
	time   time.Time
	dims   []string
	values []int64
}

// table groups by truncated time and dimensions, the simple way. Its groups are in the order of first sight.
type table struct {
	plan   *Plan
	states *States
	groups map[string]uint32
	keys   []string
}

func newTable(t *testing.T, metrics string, columns ...segment.Column) *table {
	t.Helper()
	list, _, err := ParseMetrics([]byte(metrics))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Compile(list, columns)
	if err != nil {
		t.Fatal(err)
	}
	return &table{plan: plan, states: plan.NewStates(), groups: map[string]uint32{}}
}

func (tb *table) group(key string) uint32 {
	g, ok := tb.groups[key]
	if !ok {
		g = uint32(len(tb.keys))
		tb.groups[key] = g
		tb.keys = append(tb.keys, key)
		tb.states.Grow(len(tb.keys))
	}
	return g
}

func (tb *table) add(t *testing.T, granularity spec.Granularity, columns []segment.Column, events ...event) {
	t.Helper()
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: arrow.PrimitiveTypes.Int64}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	var groups []uint32
	for _, e := range events {
		start, _ := granularity.Chunk(e.time.UnixMilli())
		groups = append(groups, tb.group(time.UnixMilli(start).UTC().Format(time.RFC3339)+" "+strings.Join(e.dims, " ")))
		for i, v := range e.values {
			b.Field(i).(*array.Int64Builder).Append(v)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	if err := tb.states.AddRows(Rows{Record: rec}, 0, groups); err != nil {
		t.Fatal(err)
	}
}

// merge takes the stored states of another table.
func (tb *table) merge(t *testing.T, o *table) {
	t.Helper()
	groups := make([]uint32, len(o.keys))
	for i, key := range o.keys {
		groups[i] = tb.group(key)
	}
	if err := tb.states.Merge(memory.DefaultAllocator, o.states, groups); err != nil {
		t.Fatal(err)
	}
}

// rows gives the table's rows as text, sorted.
func (tb *table) rows(t *testing.T) []string {
	t.Helper()
	values := finals(t, memory.DefaultAllocator, tb.states)
	out := slices.Clone(tb.keys)
	for i := range out {
		for _, m := range tb.plan.Metrics() {
			out[i] += fmt.Sprint(" ", values[m.Name].ValueStr(i))
		}
	}
	slices.Sort(out)
	return out
}

func minute(t *testing.T) spec.Granularity {
	t.Helper()
	g, err := spec.ParseGranularity("minute")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTwoSegments(t *testing.T) {
	columns := []segment.Column{{Name: "clicks", Type: segment.TypeLong}}
	at := func(minute int) time.Time { return time.Date(2020, 8, 18, 1, minute, 17*minute%60, 0, time.UTC) }
	var segments []*table
	for _, events := range [][]event{
		{{at(1), []string{"apple", "US"}, []int64{1}}, {at(2), []string{"pear", "CAN"}, []int64{10}}},
		{{at(1), []string{"apple", "US"}, []int64{2}}, {at(9), []string{"banana", "CAN"}, []int64{301}}},
	} {
		tb := newTable(t, `[{"type":"longSum","name":"clicks","fieldName":"clicks"}]`, columns...)
		tb.add(t, minute(t), columns, events...)
		segments = append(segments, tb)
	}
	merged := newTable(t, `[{"type":"longSum","name":"clicks","fieldName":"clicks"}]`, columns...)
	merged.merge(t, segments[1])
	merged.merge(t, segments[0])
	want := []string{"2020-08-18T01:01:00Z apple US 3", "2020-08-18T01:02:00Z pear CAN 10", "2020-08-18T01:09:00Z banana CAN 301"}
	if got := merged.rows(t); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestDruidTutorial rolls up Druid's rollup tutorial, in one pass and merged from single rows: counts combine by sum.
func TestDruidTutorial(t *testing.T) {
	columns := []segment.Column{{Name: "packets", Type: segment.TypeLong}, {Name: "bytes", Type: segment.TypeLong}}
	const metrics = `[{"type":"count","name":"count"},{"type":"longSum","name":"packets","fieldName":"packets"},
		{"type":"longSum","name":"bytes","fieldName":"bytes"}]`
	var events []event
	for _, line := range lines(t, "rollup-data.json") {
		var row struct {
			Timestamp      time.Time
			SrcIP, DstIP   string
			Packets, Bytes int64
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		events = append(events, event{row.Timestamp, []string{row.SrcIP, row.DstIP}, []int64{row.Packets, row.Bytes}})
	}
	var want []string
	for _, line := range lines(t, "rollup-expected.json") {
		var row struct {
			Time                  time.Time `json:"__time"`
			SrcIP, DstIP          string
			Count, Packets, Bytes int64
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint(row.Time.Format(time.RFC3339), " ", row.SrcIP, " ", row.DstIP, " ", row.Count, " ", row.Packets, " ", row.Bytes))
	}
	slices.Sort(want)
	if len(events) != 9 || len(want) != 5 {
		t.Fatalf("%d rows and %d expected ones", len(events), len(want))
	}
	whole, merged := newTable(t, metrics, columns...), newTable(t, metrics, columns...)
	whole.add(t, minute(t), columns, events...)
	for _, e := range events {
		one := newTable(t, metrics, columns...)
		one.add(t, minute(t), columns, e)
		merged.merge(t, one)
	}
	for _, tb := range []*table{whole, merged} {
		if got := tb.rows(t); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func lines(t *testing.T, name string) [][]byte {
	t.Helper()
	content, err := os.ReadFile(testkit.SharedData(t, "druid-tutorial/"+name))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for s := bufio.NewScanner(bytes.NewReader(content)); s.Scan(); {
		if len(bytes.TrimSpace(s.Bytes())) > 0 {
			out = append(out, bytes.Clone(s.Bytes()))
		}
	}
	return out
}
