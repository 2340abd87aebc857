package compaction

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// world is what the commands of a test file build up: one datasource, in a notation of one line for each thing.
//
//	datasource granularity=hour [dedup] [plan=NAME] [retention=TIME] [floor=TIME] [acknowledged=TIME] [dims=a,b:long]
//	plan NAME JSON                    a rollup.Definition
//	piece START/END [state=raw|folded|dropped] [plan=N:NAME] [sidecar=ROWSxBYTES] [layout=CUT,ROWS,BYTES[,DIM]] [commits=N]
//	  settled ROWSxBYTES [count=N] [at=TIME] [events=N] [folded]
//	  tail UNIT ROWSxBYTES [count=N] [at=TIME] [folded]
type world struct {
	view  *catalog.View
	ds    *catalog.DatasourceView
	plans map[string]json.RawMessage
	n     int
}

func newWorld() *world { return &world{plans: map[string]json.RawMessage{}} }

func (w *world) read(t *testing.T, input string) {
	t.Helper()
	for line := range strings.Lines(input) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		args := map[string]string{}
		for _, f := range fields[1:] {
			k, v, _ := strings.Cut(f, "=")
			args[k] = v
		}
		switch fields[0] {
		case "datasource":
			w.datasource(t, args)
		case "plan":
			w.plans[fields[1]] = json.RawMessage(strings.TrimSpace(strings.SplitN(line, fields[1], 2)[1]))
		case "piece":
			w.piece(t, fields[1], args)
		case "settled":
			piece := w.last()
			for range number(t, args["count"], 1) {
				piece.Settled = append(piece.Settled, w.segment(t, fields[1], args))
			}
			piece.Manifest.Settled = piece.Settled
		case "tail":
			piece := w.last()
			for range number(t, args["count"], 1) {
				piece.Tail = append(piece.Tail, catalog.TailSegment{Meta: w.segment(t, fields[2], args), Unit: fields[1]})
			}
		default:
			t.Fatalf("what is %q?", line)
		}
	}
}

func (w *world) last() *catalog.BucketView { return w.ds.Buckets[len(w.ds.Buckets)-1] }

func (w *world) datasource(t *testing.T, args map[string]string) {
	_, dedup := args["dedup"]
	s := &segment.Schema{ID: 1, Dedup: dedup, SortBy: []string{segment.TimeColumn}}
	dims := args["dims"]
	if dims == "" {
		dims = "page,country"
	}
	for i, d := range strings.Split(dims, ",") {
		name, kind, typed := strings.Cut(d, ":")
		if !typed {
			kind = "string"
		}
		s.Columns = append(s.Columns, segment.Column{
			ID: segment.FirstUserColumnID + int32(i), Name: name, Type: segment.ColumnType(kind),
		})
		s.Dimensions, s.SortBy = append(s.Dimensions, name), append(s.SortBy, name)
	}
	for _, m := range []string{"count", "added"} { // what the plans of the tests aggregate
		s.States = append(s.States, segment.Column{ID: int32(200 + len(s.States)), Name: m, Type: segment.TypeLong})
	}
	s.States = append(s.States, segment.Column{ID: 210, Name: "__carry:added", Type: segment.TypeLong})
	s.Columns = append(s.Columns, segment.Column{ID: 150, Name: "delta", Type: segment.TypeLong})
	s.Inputs = []string{"delta"}
	w.ds = &catalog.DatasourceView{
		Datasource: catalog.Datasource{Name: "wiki", SegmentGranularity: args["granularity"], Plan: w.plans[args["plan"]]},
		Schema:     s, Schemas: map[int32]*segment.Schema{1: s},
		RetentionFloorMillis: instant(t, args["retention"]), DedupFloorMillis: instant(t, args["floor"]),
	}
	key := catalog.PartitionKey{Supervisor: "wiki", Topic: "wiki"}
	partition := &catalog.PartitionView{Key: key, OffsetRevision: 5, Offset: catalog.Offset{
		Facts: segment.Facts{DedupFloorMillis: instant(t, args["acknowledged"])},
	}}
	w.view = &catalog.View{
		Revision: 100, Datasources: map[string]*catalog.DatasourceView{"wiki": w.ds},
		Supervisors: map[string]*catalog.SupervisorView{"wiki": {
			Supervisor: catalog.Supervisor{ID: "wiki", Datasource: "wiki"},
			Partitions: map[catalog.PartitionKey]*catalog.PartitionView{key: partition},
		}},
	}
}

func (w *world) piece(t *testing.T, where string, args map[string]string) {
	t.Helper()
	i := interval(t, where)
	g, err := spec.ParseGranularity(w.ds.SegmentGranularity)
	if err != nil {
		t.Fatal(err)
	}
	piece := &catalog.BucketView{Bucket: segment.Bucket{StartMillis: i.StartMillis, EndMillis: i.EndMillis}, PlanSpec: w.ds.Plan}
	for at := i.StartMillis; at < i.EndMillis; {
		start, end := g.Chunk(at)
		piece.Members, at = append(piece.Members, segment.Bucket{StartMillis: start, EndMillis: end}), end
	}
	for n := range number(t, args["commits"], 0) {
		piece.Commits = append(piece.Commits, catalog.CommitRef{Key: fmt.Sprint("commit", n), CreateRevision: int64(n)})
	}
	w.ds.Buckets = append(w.ds.Buckets, piece)
	if args["state"] == "" {
		return
	}
	piece.Head = &catalog.Head{State: catalog.HeadState(args["state"]), Sequence: 1}
	piece.Manifest = &catalog.Manifest{Buckets: piece.Members, State: piece.Head.State}
	if n, name, ok := strings.Cut(args["plan"], ":"); ok {
		piece.Head.Plan, piece.PlanSpec = number(t, n, 0), w.plans[name]
		piece.Manifest.Plan, piece.Manifest.PlanSpec = piece.Head.Plan, piece.PlanSpec
	}
	if s := args["sidecar"]; s != "" {
		rows, bytes, _ := strings.Cut(s, "x")
		piece.Manifest.Sidecars = []catalog.Sidecar{{
			Bucket: piece.Bucket, Object: "ids/" + where, Rows: number(t, rows, 0), Bytes: number(t, bytes, 0),
		}}
	}
	if l := strings.Split(args["layout"], ","); len(l) > 2 {
		made := layout{
			Version: layoutVersion, Chunk: l[0], MaxRowsPerSegment: number(t, l[1], 0), TargetSegmentBytes: number(t, l[2], 0),
			PartitionDimensions: l[3:], SortBy: w.ds.Schema.SortBy,
		}
		if len(l) == 3 {
			made.PartitionDimensions = nil
		}
		if piece.Manifest.LastCompaction, err = json.Marshal(made); err != nil {
			t.Fatal(err)
		}
	}
	if piece.Head.State == catalog.HeadDropped {
		piece.Manifest = nil
	}
}

func (w *world) segment(t *testing.T, text string, args map[string]string) segment.Meta {
	t.Helper()
	w.n++
	piece := w.last()
	rows, bytes, _ := strings.Cut(text, "x")
	m := segment.Meta{
		Object: fmt.Sprintf("s%03d", w.n), Kind: segment.KindData, Datasource: "wiki", Bucket: piece.Bucket, SchemaID: 1,
		Rows: number(t, rows, 0), Bytes: number(t, bytes, 0), MinMillis: piece.Bucket.StartMillis, MaxMillis: piece.Bucket.EndMillis - 1,
	}
	if at := args["at"]; at != "" {
		m.MinMillis, m.MaxMillis = instant(t, at), instant(t, at)+1000
	}
	if _, folded := args["folded"]; folded || args["events"] != "" {
		m.Folded, m.Events = true, number(t, args["events"], m.Rows)
	}
	return m
}

// number reads 300k, 20M and the like.
func number(t *testing.T, text string, otherwise int64) int64 {
	t.Helper()
	if text == "" {
		return otherwise
	}
	unit := int64(1)
	for suffix, n := range map[string]int64{"k": 1000, "M": 1_000_000, "G": 1_000_000_000} {
		if cut, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = cut, n
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("number %q: %v", text, err)
	}
	return n * unit
}

func instant(t *testing.T, text string) int64 {
	t.Helper()
	if text == "" {
		return 0
	}
	for _, form := range []string{"2006-01-02", "2006-01-02T15", "2006-01-02T15:04"} {
		if at, err := time.Parse(form, text); err == nil {
			return at.UnixMilli()
		}
	}
	t.Fatalf("time %q", text)
	return 0
}

func interval(t *testing.T, text string) spec.Interval {
	t.Helper()
	from, to, _ := strings.Cut(text, "/")
	return spec.Interval{StartMillis: instant(t, from), EndMillis: instant(t, to)}
}

// short shows an interval as the notation writes it.
func short(i spec.Interval) string {
	form := "2006-01-02"
	if i.StartMillis%86_400_000 != 0 || i.EndMillis%86_400_000 != 0 {
		form = "2006-01-02T15:04"
	}
	return time.UnixMilli(i.StartMillis).UTC().Format(form) + "/" + time.UnixMilli(i.EndMillis).UTC().Format(form)
}

func showPlan(p *TaskPlan) string {
	var b strings.Builder
	for i := range p.Chunks {
		c := &p.Chunks[i]
		fmt.Fprintf(&b, "%s: %s\n", short(c.Interval), c.Reason)
		if c.Job != nil {
			b.WriteString(showJob(c.Job))
		}
	}
	for _, i := range p.Empty {
		fmt.Fprintf(&b, "empty: %s\n", short(i))
	}
	for _, text := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", text)
	}
	return b.String()
}

func showJob(j *Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s state=%s plan=%d buckets=%d settled=%d tail=%d", j.Mode, j.State, j.Plan, len(j.Buckets), len(j.Settled), len(j.Tail))
	if len(j.Sidecars) > 0 {
		fmt.Fprintf(&b, " sidecars=%d", len(j.Sidecars))
	}
	if j.ForgetIDs {
		b.WriteString(" forget")
	}
	if !j.Chunk.IsZero() {
		fmt.Fprintf(&b, " cut=%s", j.Chunk)
	}
	if j.PartitionDimensions != nil {
		fmt.Fprintf(&b, " ranges=%v", j.PartitionDimensions)
	}
	b.WriteString("\n")
	if j.PlanSpec != nil {
		fmt.Fprintf(&b, "    %s\n", j.PlanSpec)
	}
	return b.String()
}

func showDecisions(all []Decision) string {
	var b strings.Builder
	for _, d := range all {
		mark := "-"
		switch {
		case d.Chosen:
			mark = "+ " + string(d.Mode)
		case d.Skipped:
			mark = "x"
		}
		fmt.Fprintf(&b, "%s %s [%d segments, %d rows]: %s\n", mark, short(d.Interval), d.Segments, d.Rows, d.Reason)
	}
	return b.String()
}
