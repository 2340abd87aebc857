package query

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"drumlin/catalog"
	"drumlin/duckdb"
	"drumlin/segment"
)

// TestPlan reads buckets from text and shows what a statement's WHERE clause leaves to be read. Times are hours and
// minutes of 2024-01-01.
//
//	buckets [dedup]
//	01 settled a rows=3 n=1..5 page=a..c
//	01 tail    b unit=u1 n=6..7 n.nulls=1
//	01 hot     rows=2
//	02 dropped
//
// A line "own" gives the datasource's definition, one with a bucket and "rules" the bucket's; "folded" marks a segment.
func TestPlan(t *testing.T) {
	db, err := duckdb.Open(duckdb.Options{MemoryLimitBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		var in planInput
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "buckets":
				in = parseBuckets(t, d)
				return "ok"
			case "plan":
				return planText(t, db, in, d.Input)
			}
			t.Fatalf("%s: command %q is not known", d.Pos, d.Cmd)
			return ""
		})
	})
}

func planSchema(dedup bool) *segment.Schema {
	return &segment.Schema{ID: 2, Dedup: dedup, Columns: []segment.Column{
		{ID: 100, Name: "n", Type: segment.TypeLong},
		{ID: 101, Name: "page", Type: segment.TypeString},
		{ID: 102, Name: "d", Type: segment.TypeDouble},
		{ID: 103, Name: "late", Type: segment.TypeLong},
	}}
}

func parseBuckets(t *testing.T, d *datadriven.TestData) planInput {
	s := planSchema(d.HasArg("dedup"))
	older := &segment.Schema{ID: 1, Columns: s.Columns[:3]}
	var plan []byte
	for line := range strings.Lines(d.Input) {
		if text, ok := strings.CutPrefix(line, "own "); ok {
			plan = []byte(strings.TrimSpace(text))
		}
	}
	own, err := newOwnRules(&catalog.DatasourceView{Datasource: catalog.Datasource{Plan: plan}, Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	in := planInput{dedup: s.Dedup, columns: own.prunable(), schemas: map[int32]*segment.Schema{1: older, 2: s}, rules: own.list}
	day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		if words[0] == "own" {
			continue
		}
		h, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		bucket := segment.Bucket{StartMillis: day + int64(h)*hour, EndMillis: day + int64(h+1)*hour}
		if words[1] == "hot" {
			rows, err := strconv.ParseInt(strings.TrimPrefix(words[2], "rows="), 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", d.Pos, err)
			}
			in.hot = append(in.hot, hotCount{bucket, rows})
			continue
		}
		if n := len(in.buckets); n == 0 || in.buckets[n-1].bucket != bucket {
			in.buckets = append(in.buckets, bucketInput{bucket: bucket})
		}
		b := &in.buckets[len(in.buckets)-1]
		switch words[1] {
		case "dropped":
			b.dropped = true
		case "rules":
			if b.rules, err = own.add([]byte(words[2])); err != nil {
				t.Fatalf("%s: %v", d.Pos, err)
			}
			in.rules = own.list
		case "sidecar":
			m, _ := parseMeta(t, bucket, words[2:])
			b.sidecars = append(b.sidecars, m)
		case "settled":
			m, _ := parseMeta(t, bucket, words[2:])
			b.settled = append(b.settled, m)
		case "tail":
			m, unit := parseMeta(t, bucket, words[2:])
			b.tail = append(b.tail, tailInput{m, unit})
		}
	}
	return in
}

func parseMeta(t *testing.T, b segment.Bucket, words []string) (m segment.Meta, unit string) {
	m = segment.Meta{Object: words[0], Rows: 10, SchemaID: 1, MinMillis: b.StartMillis, MaxMillis: b.EndMillis - 1}
	stats := map[int32]*segment.ColumnStats{}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		name, detail, _ := strings.Cut(key, ".")
		switch name {
		case "unit":
			unit = value
			continue
		case "folded":
			m.Folded = true
			continue
		}
		var col segment.Column
		for _, c := range planSchema(true).Columns {
			if c.Name == name {
				col = c
			}
		}
		s := stats[col.ID]
		if s == nil {
			s = &segment.ColumnStats{ID: col.ID}
			stats[col.ID] = s
		}
		switch detail {
		case "nan":
			s.HasNaN = true
		case "nulls":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			s.Nulls = n
		default:
			low, high, _ := strings.Cut(value, "..")
			s.Min, s.Max = parseBound(t, col.Type, low), parseBound(t, col.Type, high)
		}
	}
	for _, s := range stats {
		m.Columns = append(m.Columns, *s)
	}
	return m, unit
}

func parseBound(t *testing.T, kind segment.ColumnType, text string) *segment.Bound {
	switch kind {
	case segment.TypeLong:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return &segment.Bound{Long: &n}
	case segment.TypeDouble:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return &segment.Bound{Double: &f}
	}
	return &segment.Bound{String: &text}
}

func planText(t *testing.T, db *duckdb.DB, in planInput, sql string) string {
	sql, rest, _ := strings.Cut(sql, "\nparameters ")
	var parameters []any
	for _, p := range strings.Fields(rest) {
		if n, err := strconv.ParseInt(p, 10, 64); err == nil {
			parameters = append(parameters, n)
		} else {
			parameters = append(parameters, p)
		}
	}
	raw, err := db.SyntaxTree(context.Background(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	tree, err := decodeTree(raw)
	if err != nil {
		t.Fatal(err)
	}
	view := &catalog.View{Datasources: map[string]*catalog.DatasourceView{"t": {}, "u": {}}}
	a, refused := admit(tree, tableNames{view}.resolve, parameters)
	if refused != nil {
		return refused.Error()
	}
	for _, m := range a.mentions {
		if m.table == "druid.t" {
			in.mentions = append(in.mentions, m.conditions)
		}
	}
	p := planTable(in)
	var b strings.Builder
	list := func(name string, segments []segment.Meta) {
		if len(segments) > 0 {
			fmt.Fprintf(&b, "%s:", name)
			for _, m := range segments {
				fmt.Fprintf(&b, " %s", m.Object)
			}
			fmt.Fprintln(&b)
		}
	}
	for i, part := range p.parts {
		if len(in.rules) > 1 {
			fmt.Fprintf(&b, "part %d, %d hot:\n", i, len(part.hot))
		}
		list("settled", part.settled)
		list("unsettled", part.unsettled)
		list("folded", part.folded)
		list("merged", part.merged)
	}
	list("narrow", p.narrow)
	list("sidecars", p.sidecars)
	fmt.Fprintf(&b, "hot: %v dedup: %v hidden: %d rows compared: %d pruned: %d\n", p.readsHot(), p.hotDedup, len(p.hidden), p.dedupRows, p.pruned)
	if p.time != allTime {
		fmt.Fprintf(&b, "time: %s .. %s\n", boundText(p.time.from), boundText(p.time.to))
	}
	return b.String()
}

func boundText(micros int64) string {
	if micros == allTime.from || micros == allTime.to {
		return "-"
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.999999")
}
