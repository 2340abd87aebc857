package catalog

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"drumlin/segment"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// golden values, by the name of their file in testdata/golden. A file that is there must stay readable for ever: where a
// value gets a new field, add a file and leave the old ones alone.
func golden() map[string]any {
	sum := strings.Repeat("ab", 32)
	hour := segment.Bucket{StartMillis: 3_600_000, EndMillis: 7_200_000}
	at := segment.OffsetRange{Topic: "clicks", Generation: 1, Partition: 2, From: 5, To: 9}
	raw := segment.Meta{
		Object: "data/table=d/i-e7-clicks-2-5-9-x.parquet", Bytes: 10, SHA256: sum, Kind: segment.KindData, Datasource: "d",
		Bucket: hour, Rows: 3, SchemaID: 1, MinMillis: 3_600_000, MaxMillis: 3_600_005, Sources: []segment.OffsetRange{at},
		Columns: []segment.ColumnStats{{ID: 2, Nulls: 1}},
	}
	folded := raw
	folded.Object, folded.Folded, folded.Events, folded.Columns = "data/table=d/i-e8-compacted-x.parquet", true, 6, nil
	commit := Commit{
		UUID: "u", Datasource: "d", Supervisor: "s", Range: at, Epoch: 7, RejectsBucket: hour,
		Counters: segment.Counters{Stored: 3, Skipped: 1, Keyless: 1}, Segments: []segment.Meta{raw}, Record: "commits/r", RecordSHA256: sum,
	}
	return map[string]any{
		"format.json": &Format{Reader: 1, Writer: 1, Written: 1},
		"head.json":   &Head{Manifest: "manifests/m", ManifestSHA256: sum, Absorbed: 40, Plan: 2, State: HeadFolded, Sequence: 3},
		"manifest.json": &Manifest{
			Datasource: "d", Incarnation: "i", Epoch: 8, Sequence: 3, Buckets: []segment.Bucket{hour}, Plan: 2,
			PlanSpec: json.RawMessage(`{"rollup":true}`), State: HeadFolded, Settled: []segment.Meta{folded},
			Adopted:        []TailSegment{{Meta: raw, Unit: "u"}},
			Sidecars:       []Sidecar{{Bucket: hour, Object: "ids/x", Bytes: 9, SHA256: sum, Rows: 5}},
			Absorbed:       []AbsorbedRange{{Supervisor: "s", OffsetRange: at, UUID: "u"}},
			LastCompaction: json.RawMessage(`{"n":1}`),
			Previous:       []PreviousManifest{{Object: "manifests/l", SHA256: sum}},
			Totals: Totals{
				AbsorbedSegments: 4, AbsorbedRows: 12, AbsorbedBytes: 40, WrittenSegments: 1, WrittenBytes: 19, Duplicates: 2, Filtered: 1,
			},
		},
		"offset.json": &Offset{
			Generation: 1, TopicID: "t1", Next: 9, LeaderEpoch: -1, ClockMillis: 8, Facts: segment.Facts{SpecVersion: 1, DedupFloorMillis: 4},
			Counters: segment.Counters{Stored: 3, Skipped: 1}, CommitMillis: 7, Record: "offsets/r",
			Closed: []ClosedGeneration{{TopicID: "t0", Start: 1, End: 20, Stored: 18}},
		},
		"commit.json": &commitValue{Commit: commit},
		"record.json": &Record{
			Kind: RecordCommit, Incarnation: "i", Key: PartitionKey{Supervisor: "s", Topic: "clicks", Partition: 2}, Epoch: 7,
			PrevRevision: 33, Commit: &commit, Offset: Offset{Next: 9, Counters: segment.Counters{Stored: 3, Skipped: 1}, Record: "commits/r"},
		},
		"marker.json": &Marker{
			Incarnation: "i", Datasource: "d", Buckets: []segment.Bucket{hour}, Manifest: "manifests/m", ManifestSHA256: sum, Sequence: 3,
			Revision: 44, Replaced: []string{"data/a", "manifests/l"}, WrittenMillis: 5,
		},
		"datasource.json": &Datasource{Name: "d", SegmentGranularity: "hour", HashKey: sum[:32], CreatedMillis: 5, Plan: json.RawMessage(`{"rollup":true}`)},
		"task.json": &Task{
			ID: "compact_d", Group: "g", Type: "compact", Datasource: "d", Priority: 25, Origin: "user", Spec: json.RawMessage(`{"type":"compact"}`),
			CreatedMillis: 1, State: TaskRunning, Attempt: 2, Failures: 1, NotBeforeMillis: 3, Node: "n", Epoch: 9, StartedMillis: 4,
			FinishedMillis: 6, CancelRequested: true, Error: "e", Done: 1, Total: 2, Report: "tasks/r", Log: "tasks/l",
		},
		"setting.json": &Setting{Version: 3, UpdatedMillis: 5, Value: json.RawMessage(`{"a":1}`)},
		"pin.json":     &Pin{Revision: 5, Holder: "h"},
		"floors.json":  &Floors{RetentionMillis: 5, DedupMillis: 4},
	}
}

// TestGolden: what is written has the form that the files show, and every file is read as what it was written from.
func TestGolden(t *testing.T) {
	dir := filepath.Join("testdata", "golden")
	for name, value := range golden() {
		var form bytes.Buffer
		if err := json.Indent(&form, mustEncode(t, value), "", "  "); err != nil {
			t.Fatal(err)
		}
		form.WriteByte('\n')
		path := filepath.Join(dir, name)
		if *updateGolden {
			if err := os.WriteFile(path, form.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v: run the test with -update, and read what it writes", err)
		}
		if !bytes.Equal(want, form.Bytes()) {
			t.Errorf("%s is written as\n%s", name, form.Bytes())
		}
		back := reflect.New(reflect.TypeOf(value).Elem()).Interface()
		if err := decode(name, want, back); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again := mustEncode(t, back); !bytes.Equal(again, mustEncode(t, value)) {
			t.Errorf("%s is read as %s", name, again)
		}
	}
}

// TestGoldenIsSound: the examples keep the rules of the catalog, and what was written before a field existed is still read.
func TestGoldenIsSound(t *testing.T) {
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join("testdata", "golden", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if _, err := decodeManifest("manifests/m", read("manifest.json")); err != nil {
		t.Error(err)
	}
	if _, err := DecodeRecord("commits/r", read("record.json")); err != nil {
		t.Error(err)
	}
	if _, err := DecodeMarker("markers/m", read("marker.json")); err != nil {
		t.Error(err)
	}
	if _, err := decodeTask(taskKey("compact_d"), read("task.json")); err != nil {
		t.Error(err)
	}
	if _, err := decodeOffset("offset/s/clicks/2", read("offset.json")); err != nil {
		t.Error(err)
	}
	if _, err := decodeHead(headKey("d", 3_600_000), read("head.json")); err != nil {
		t.Error(err)
	}
	commit := golden()["commit.json"].(*commitValue)
	if _, err := decodeCommit(commitKey("s", commit.Range), read("commit.json")); err != nil {
		t.Error(err)
	}
	if o, err := decodeOffset("offset/s/t/0", []byte(`{"generation":0,"topicId":"t","next":9,"leaderEpoch":0,"clock":1,"facts":{},"counters":{}}`)); err != nil || o.Next != 9 {
		t.Errorf("offset of before: %+v, %v", o, err)
	}
}
