package catalog

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"drumlin/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func FuzzKeyPart(f *testing.F) {
	for _, s := range []string{"a", ".", "..", "a.b", "a/b", "%", "é", "a b", "-x", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		part := escapePart(name)
		if strings.ContainsAny(part, "/ \x00") || part == "." || part == ".." {
			t.Fatalf("%q is written as %q", name, part)
		}
		if name == "" || len(part) > maxEscapedKeyPart {
			return
		}
		if back, err := unescapePart(part); err != nil || back != name {
			t.Fatalf("%q is written as %q and read as %q, %v", name, part, back, err)
		}
		if back, err := unescapePart(name); err == nil && escapePart(back) != name {
			t.Fatalf("%q is read as %q, which is written otherwise", name, back)
		}
	})
}

func validCommit() *Commit {
	b := segment.Bucket{StartMillis: 0, EndMillis: 3_600_000}
	r := segment.OffsetRange{Topic: "t", Partition: 1, From: 5, To: 9}
	return &Commit{
		UUID: "u", Datasource: "d", Supervisor: "s", Range: r, Epoch: 7, RejectsBucket: b,
		Counters: segment.Counters{Stored: 3, Skipped: 1},
		Segments: []segment.Meta{{
			Object: "data/i-e7-x.parquet", Bytes: 10, SHA256: strings.Repeat("ab", 32), Kind: segment.KindData, Datasource: "d",
			Bucket: b, Rows: 3, SchemaID: 1, MaxMillis: 5, Sources: []segment.OffsetRange{r},
		}},
	}
}

func mustEncode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzCommit: whatever is accepted satisfies law 1 and is read again as the same.
func FuzzCommit(f *testing.F) {
	c := validCommit()
	key := commitKey(c.Supervisor, c.Range)
	f.Add(key, mustEncode(f, commitValue{Commit: *c}))
	c.Segments = nil
	f.Add(key, mustEncode(f, commitValue{Commit: *c, External: true}))
	f.Add(key, []byte(`{"uuid":"u"} x`))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		v, err := decodeCommit(key, data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error without its kind: %v", err)
			}
			return
		}
		if v.Range.To-v.Range.From != v.Counters.Sum() {
			t.Fatalf("law 1: %+v", v)
		}
		again, err := decodeCommit(key, mustEncode(t, v))
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("read again: %+v, %v; first %+v", again, err, v)
		}
	})
}

// FuzzValues feeds every other value to the fold: it may refuse, and never panics.
func FuzzValues(f *testing.F) {
	manifest := mustEncode(f, Manifest{
		Datasource: "d", Incarnation: "i", Epoch: 1, Sequence: 1, State: HeadRaw,
		Buckets: []segment.Bucket{{StartMillis: 0, EndMillis: 1}},
	})
	head := mustEncode(f, Head{Manifest: "m", ManifestSHA256: strings.Repeat("ab", 32), State: HeadRaw, Sequence: 1, Absorbed: 5})
	for key, value := range map[string]string{
		"format": `{"reader":1,"writer":1,"written":1}`, "incarnation": "i", "node/n": `{"id":"n"}`, "own/s/t/0": `{"node":"n"}`,
		"offset/s/t/0": `{"next":5}`, "head/d/00000000000000000000": string(head), "floor/d": `{"retention":5}`,
		"pin/p": `{"revision":5}`, "claim/task/x": `{}`, "datasource/d": `{"name":"d"}`, "schema/d/0000000001": `{"id":1}`,
		"spec/s": `{"id":"s","version":1}`, "spec/s/00000000000000000001": `{}`, "unknown/x": "?",
	} {
		f.Add(key, []byte(value), manifest)
	}
	f.Fuzz(func(t *testing.T, key string, value, object []byte) {
		objects := contents{commits: map[string]*Commit{}, manifests: map[string]*Manifest{}}
		if m, err := decodeManifest("m", object); err == nil {
			objects.manifests["m"] = m
		}
		if r, err := DecodeRecord("r", object); err == nil && r.Commit != nil {
			objects.commits["r"] = r.Commit
		}
		if _, err := DecodeMarker("markers/m", object); err == nil {
			_ = err
		}
		s := newState()
		kv := KeyValue{Key: key, Value: value, CreateRevision: 3, ModRevision: 3, Version: 1}
		if err := s.applyRevision([]Event{{KeyValue: kv}}, objects); err != nil {
			return
		}
		if v, err := s.view(nil); err == nil {
			if err := Verify(v); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error without its kind: %v", err)
			}
		}
		if err := s.applyRevision([]Event{{Deleted: true, KeyValue: KeyValue{Key: key, ModRevision: 4}}}, objects); err == nil {
			if _, err := s.view(nil); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error without its kind: %v", err)
			}
		}
	})
}

func FuzzObjectEpoch(f *testing.F) {
	f.Add("data/table=d/y=2026/ab12-e77-topic-e5-0-1-2-x.parquet")
	f.Add("commits/ab12/s/t-e9-x/0/0/00000000000000000005-00000000000000000009-e7-u-e3-x.json")
	f.Add("markers/x-e-5")
	f.Fuzz(func(t *testing.T, object string) {
		if inc, epoch, ok := ObjectEpoch(object); ok && (inc == "" || epoch <= 0) {
			t.Fatalf("%q: %q, %d", object, inc, epoch)
		}
	})
}

func TestObjectEpoch(t *testing.T) {
	for object, want := range map[string]struct {
		incarnation string
		epoch       int64
	}{
		"data/table=d-e4-x/y=2026/ab12-e77-topic-e5-0.parquet": {"ab12", 77},
		"commits/ab12/s/t-e9-x/0/0/5-9-e7-u-e3-x.json":         {"ab12", 7},
		"offsets/ab12/s/t/0/0/5-e7-u.json":                     {"ab12", 7},
		"manifests/ab12/d/-0000000000000000005-3-e8-u.json":    {"ab12", 8},
		"README.md":               {},
		"data/ab12-e07-x.parquet": {},
		"data/ab12-e7.parquet":    {},
	} {
		inc, epoch, ok := ObjectEpoch(object)
		if ok != (want.epoch != 0) || ok && (inc != want.incarnation || epoch != want.epoch) {
			t.Errorf("%s: %q, %d, %v; want %+v", object, inc, epoch, ok, want)
		}
	}
}

// TestVerify: the checker finds each kind of damage.
func TestVerify(t *testing.T) {
	build := func(spoil func(v *View, c *Commit, p *PartitionView)) error {
		c := validCommit()
		k := PartitionKey{Supervisor: "s", Topic: "t", Partition: 1}
		p := &PartitionView{Key: k, OffsetRevision: 3, Offset: Offset{Next: 9, Counters: c.Counters}}
		v := &View{
			Datasources: map[string]*DatasourceView{"d": {Buckets: []*BucketView{{
				Bucket: c.RejectsBucket, Members: []segment.Bucket{c.RejectsBucket},
				Commits: []CommitRef{{Key: commitKey("s", c.Range), CreateRevision: 3, Commit: c}},
			}}}},
			Supervisors: map[string]*SupervisorView{"s": {Partitions: map[PartitionKey]*PartitionView{k: p}}},
		}
		spoil(v, c, p)
		return Verify(v)
	}
	if err := build(func(*View, *Commit, *PartitionView) {}); err != nil {
		t.Errorf("a sound view: %v", err)
	}
	for name, spoil := range map[string]func(v *View, c *Commit, p *PartitionView){
		"law 1":        func(_ *View, c *Commit, _ *PartitionView) { c.Counters.Skipped++ },
		"missing":      func(v *View, _ *Commit, _ *PartitionView) { v.Datasources["d"].Buckets[0].Commits = nil },
		"gap at start": func(_ *View, _ *Commit, p *PartitionView) { p.Offset.Counters.Skipped++ },
		"gap at end":   func(_ *View, _ *Commit, p *PartitionView) { p.Offset.Next++; p.Offset.Counters.Skipped++ },
		"past the end": func(_ *View, _ *Commit, p *PartitionView) { p.Offset.Next--; p.Offset.Counters.Skipped-- },
		"overlap": func(v *View, c *Commit, _ *PartitionView) {
			other := *c
			other.Range.To, other.Counters.Skipped, other.Segments = 6, 1, nil
			other.Counters.Stored = 0
			b := v.Datasources["d"].Buckets[0]
			b.Commits = append(b.Commits, CommitRef{Key: "other", Commit: &other})
		},
	} {
		if err := build(spoil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSortRanges(t *testing.T) {
	r := func(p int32, from, to int64) AbsorbedRange {
		return AbsorbedRange{Supervisor: "s", OffsetRange: segment.OffsetRange{Topic: "t", Partition: p, From: from, To: to}}
	}
	got := sortRanges([]AbsorbedRange{r(1, 5, 9), r(0, 3, 4), r(1, 0, 5), r(1, 5, 9), r(1, 10, 12)})
	if want := []AbsorbedRange{r(0, 3, 4), r(1, 0, 5), r(1, 5, 9), r(1, 10, 12)}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestNote: an event is the next one of its key, a repetition, or proof that something is missing.
func TestNote(t *testing.T) {
	put := func(create, mod, version int64) Event {
		return Event{KeyValue: KeyValue{Key: "k", CreateRevision: create, ModRevision: mod, Version: version}}
	}
	del := func(mod int64) Event { return Event{Deleted: true, KeyValue: KeyValue{Key: "k", ModRevision: mod}} }
	for _, c := range []struct {
		name      string
		exists    bool // key k, created at 5, last put at 7 as version 2, in a state of revision 9
		event     Event
		skip, gap bool
	}{
		{"next", true, put(5, 10, 3), false, false},
		{"repeated", true, put(5, 7, 2), true, false},
		{"older", true, put(5, 5, 1), true, false},
		{"put left out", true, put(5, 12, 4), false, true},
		{"deletion left out", true, put(11, 11, 1), false, true},
		{"deleted", true, del(10), false, false},
		{"late put", true, put(5, 8, 3), false, true},
		{"late deletion", true, del(8), false, true},
		{"new", false, put(10, 10, 1), false, false},
		{"creation left out", false, put(10, 11, 2), false, true},
		{"repeated deletion", false, del(8), true, false},
		{"unknown deletion", false, del(10), false, true},
		{"late creation", false, put(8, 8, 1), false, true},
	} {
		s := newState()
		if c.exists {
			s.set(put(5, 7, 2).KeyValue)
		}
		s.revision = 9
		skip, err := s.note(c.event)
		var gap *gapError
		if skip != c.skip || errors.As(err, &gap) != c.gap {
			t.Errorf("%s: skip %v, error %v", c.name, skip, err)
		}
	}
}
