package rollup

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

var rewriteGolden = flag.Bool("rewrite-golden", false, "write the golden states of the newest format anew")

// TestHotRows: the position of a hot batch is given beside it, and gives the states that a file's columns give.
func TestHotRows(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, `[{"type":"longFirst","name":"a","fieldName":"n"},{"type":"longLast","name":"b","fieldName":"n"}]`)
	rng := rand.New(rand.NewPCG(6, 1))
	rows := randomRows(rng, 50, 2)
	for i := range rows {
		rows[i].position.Topic, rows[i].position.Generation, rows[i].position.Partition = "clicks", 2, 7
	}
	rec := recordOf(mem, rows)
	defer rec.Release()
	var fields []arrow.Field
	var columns []arrow.Array
	for i, f := range rec.Schema().Fields() {
		if f.Name != segment.TopicColumn && f.Name != segment.GenerationColumn && f.Name != segment.PartitionColumn {
			fields, columns = append(fields, f), append(columns, rec.Column(i))
		}
	}
	hot := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
	defer hot.Release()
	s := plan.NewStates()
	s.Grow(2)
	if err := s.AddRows(Rows{Record: hot, Position: &rows[0].position}, 0, groupsOf(rows)); err != nil {
		t.Fatal(err)
	}
	want := stateText(t, mem, aggregated(t, mem, plan, rows, 2))
	for name, text := range stateText(t, mem, s) {
		if text != want[name] {
			t.Errorf("state column %s\n%s, want\n%s", name, text, want[name])
		}
	}
	if err := plan.NewStates().AddRows(Rows{Record: hot}, 0, nil); err == nil || !strings.Contains(err.Error(), "__topic") {
		t.Errorf("rows without a position: %v", err)
	}
	if !plan.NeedsPosition() || testPlan(t, `[{"type":"count","name":"c"}]`).NeedsPosition() {
		t.Error("the wrong plan needs positions")
	}
}

// TestOlderFile: a column that a file does not have holds nulls.
func TestOlderFile(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, allMetrics)
	rows := []testRow{{millis: 1}, {millis: 2, position: segment.Position{Offset: 1}}}
	rec := recordOf(mem, rows)
	defer rec.Release()
	var fields []arrow.Field
	var columns []arrow.Array
	for i, f := range rec.Schema().Fields() {
		if strings.HasPrefix(f.Name, "__") {
			fields, columns = append(fields, f), append(columns, rec.Column(i))
		}
	}
	old := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rec.NumRows())
	defer old.Release()
	s := plan.NewStates()
	s.Grow(1)
	if err := s.AddRows(Rows{Record: old}, 0, []uint32{0, 0}); err != nil {
		t.Fatal(err)
	}
	want := stateText(t, mem, aggregated(t, mem, plan, rows, 1))
	for name, text := range stateText(t, mem, s) {
		if text != want[name] {
			t.Errorf("state column %s\n%s, want\n%s", name, text, want[name])
		}
	}
}

// TestStatesOfOthers: states of another definition, missing ones and damaged ones are refused.
func TestStatesOfOthers(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, `[{"type":"count","name":"c"},{"type":"longSum","name":"s","fieldName":"n"},
		{"type":"stringLast","name":"l","fieldName":"user","maxStringBytes":4},{"type":"doubleMin","name":"m","fieldName":"price"}]`)
	states := aggregated(t, mem, plan, []testRow{{n: ref(int64(1)), user: ref("abcd"), price: ref(1.0)}}, 1)
	for _, test := range []struct {
		what string
		edit func(fields []arrow.Field, b *array.RecordBuilder) []arrow.Field
		want string
	}{
		{"nothing", nil, ""},
		{"another definition", func(f []arrow.Field, _ *array.RecordBuilder) []arrow.Field {
			f[1].Metadata = arrow.NewMetadata([]string{MetricKey}, []string{`{"type":"longMax","name":"s","fieldName":"n"}`})
			return f
		}, "cannot combine"},
		{"no definition", func(f []arrow.Field, _ *array.RecordBuilder) []arrow.Field {
			f[1].Metadata = arrow.Metadata{}
			return f
		}, ""},
		{"a missing column", func(f []arrow.Field, _ *array.RecordBuilder) []arrow.Field {
			f[2].Name = "elsewhere"
			return f
		}, "0 columns"},
	} {
		columns, err := states.Columns(mem, upTo(1))
		if err != nil {
			t.Fatal(err)
		}
		fields := plan.StateFields()
		if test.edit != nil {
			fields = test.edit(fields, nil)
		}
		rec := record(fields, columns, 1)
		into := plan.NewStates()
		into.Grow(1)
		checkError(t, test.what, into.AddStates(rec, 0, []uint32{0}), test.want)
		rec.Release()
	}
	for _, json := range []string{
		`[{"c":null}]`,
		`[{"c":-1}]`,
		`[{"c":1,"__carry:s":1}]`,
		`[{"c":1,"s":1,"__carry:s":0}]`,
		`[{"c":1,"l":"abcd"}]`,
		`[{"c":1,"l":"abcde","__at:l":"gAAAAAAAAAB0AIAAAACAAAAAgAAAAAAAAAE="}]`,
		`[{"c":1,"l":"abcd","__at:l":"gAAAAAAAAAB0AIAAAA=="}]`,
		`[{"c":1,"__at:l":""}]`,
	} {
		rec, _, err := array.RecordFromJSON(mem, arrow.NewSchema(plan.StateFields(), nil), strings.NewReader(json))
		if err != nil {
			t.Fatal(err)
		}
		into := plan.NewStates()
		into.Grow(1)
		if err := into.AddStates(rec, 0, []uint32{0}); err == nil {
			t.Errorf("%s is accepted", json)
		} else {
			wantCorrupt(t, err)
		}
		rec.Release()
	}
}

func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

// TestCallsOutOfRange: wrong rows and groups are errors.
func TestCallsOutOfRange(t *testing.T) {
	mem := memory.DefaultAllocator
	plan := testPlan(t, `[{"type":"count","name":"c"}]`)
	s := aggregated(t, mem, plan, make([]testRow, 3), 1)
	rec := recordOf(mem, make([]testRow, 3))
	defer rec.Release()
	for _, test := range []struct {
		from   int
		groups []uint32
		want   string
	}{
		{0, []uint32{0, 0, 0}, ""},
		{2, []uint32{Skip}, ""},
		{2, []uint32{0, 0}, "3 rows"},
		{-1, []uint32{0}, "3 rows"},
		{0, []uint32{1}, "group 1 of 1"},
	} {
		checkError(t, fmt.Sprint(test), s.AddRows(Rows{Record: rec}, test.from, test.groups), test.want)
	}
	if _, err := s.Columns(mem, []uint32{Skip}); err == nil {
		t.Error("there is a state of no group")
	}
	s.Grow(0)
	if s.Len() != 1 {
		t.Error("it has shrunk")
	}
}

// TestNoAllocationPerRow: a batch of 2,048 rows costs a few allocations a column once the states have settled, and what growing sketches take.
func TestNoAllocationPerRow(t *testing.T) {
	plan := testPlan(t, allMetrics)
	rec := benchRecord(rand.New(rand.NewPCG(7, 1)))
	defer rec.Release()
	s := plan.NewStates()
	s.Grow(4)
	groups := make([]uint32, benchRows)
	for i := range groups {
		groups[i] = uint32(i % 4)
	}
	for range 50 {
		if err := s.AddRows(Rows{Record: rec}, 0, groups); err != nil {
			t.Fatal(err)
		}
	}
	allocs := testing.AllocsPerRun(20, func() {
		if err := s.AddRows(Rows{Record: rec}, 0, groups); err != nil {
			t.Fatal(err)
		}
	})
	if perValue := allocs / benchRows / float64(len(plan.Metrics())); perValue > 0.01 {
		t.Errorf("%.3f allocations per row and metric (%v)", perValue, allocs)
	}
	if s.Bytes() < 4*100 || s.Bytes() > 1<<20 {
		t.Errorf("%d bytes are estimated", s.Bytes())
	}
}

// goldenStates are states of fixed rows: what a release has stored, later ones must read and write alike.
func goldenStates(t *testing.T) *States {
	plan := testPlan(t, allMetrics)
	rng := rand.New(rand.NewPCG(42, 42))
	rows := randomRows(rng, 2000, 3)
	// Whole sketches are long: the last group has few values.
	for i := range rows {
		if rows[i].group == 2 && i > 30 {
			rows[i].group = 1
		}
	}
	return aggregated(t, memory.DefaultAllocator, plan, rows, 4)
}

// TestGoldenStates: the bytes of format 1 never change.
func TestGoldenStates(t *testing.T) {
	var got strings.Builder
	s := goldenStates(t)
	columns, err := s.Columns(memory.DefaultAllocator, upTo(4))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range s.plan.StateFields() {
		fmt.Fprintf(&got, "%s %s %s\n", f.Name, f.Type, f.Metadata.Values()[0])
		for g := range 4 {
			fmt.Fprintf(&got, "\t%s\n", columns[i].ValueStr(g))
		}
		columns[i].Release()
	}
	path := filepath.Join("testdata", "states1.golden")
	if *rewriteGolden {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantLines := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(wantLines) || line != wantLines[i] {
			t.Fatalf("line %d has changed:\n%s", i+1, line)
		}
	}
}

// TestMomentsOrderAsBytes: SQL may compare them as they are stored.
func TestMomentsOrderAsBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 1))
	var names topics
	draw := func() moment {
		odd := []int64{math.MinInt64, -1, 0, 1, math.MaxInt64}
		return moment{
			time: odd[rng.IntN(5)], offset: odd[rng.IntN(5)], topic: names.id([]string{"a", "a-b", "ab", "b"}[rng.IntN(4)]),
			generation: int32(rng.IntN(3)) - 1, partition: int32(rng.IntN(3)),
		}
	}
	for range 5000 {
		a, b := draw(), draw()
		if got, want := slices.Compare(names.encode(nil, &a), names.encode(nil, &b)), names.compare(&a, &b); got != want {
			t.Fatalf("%+v and %+v: %d by bytes, %d by order", a, b, got, want)
		}
	}
}

// TestHostileSizes: lengths that the bytes do not have cost no memory.
func TestHostileSizes(t *testing.T) {
	big := binary.AppendUvarint([]byte{quantilesVersion, 0}, 1<<60)
	sparse := []byte{sketchVersion, distinctPrecision, 0, 1, 0, 0, 0, 0, 0, 255, 255, 255, 0, 0, 0, 1, 255, 255, 255, 255}
	allocated := testing.AllocsPerRun(10, func() {
		var q Quantiles
		wantCorrupt(t, q.Merge(big))
		var d Distinct
		wantCorrupt(t, d.Merge(sparse))
	})
	if allocated > 40 {
		t.Errorf("%v allocations", allocated)
	}
}
