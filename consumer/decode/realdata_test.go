package decode_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"drumlin/consumer/decode"
	"drumlin/internal/ndjson"
	"drumlin/internal/testkit"
	"drumlin/spec"
)

// example decodes with an example spec, or skips where there is none.
func example(t *testing.T, name string) (*spec.Supervisor, *decode.Decoder) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "configs", "specs", name))
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := spec.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	d, err := decode.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

// eachRecord calls fn for each record of a shared file, decoded by d and by encoding/json.
func eachRecord(t *testing.T, file string, d *decode.Decoder, fn func(row *decode.Row, fields map[string]any)) int {
	t.Helper()
	r, err := ndjson.Open(testkit.SharedData(t, file), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	for n := 0; ; n++ {
		line, number, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		row, reject := d.Decode(&decode.Record{Value: line})
		if reject != nil {
			t.Fatalf("line %d: %s: %s", number, reject.Reason, reject.Message)
		}
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatal(err)
		}
		fn(row, fields)
	}
}

func TestWikipedia(t *testing.T) {
	s, d := example(t, "wikipedia.yaml")
	at := map[string]int{}
	for i, dim := range s.DataSchema.Dimensions {
		at[dim.Name] = i
	}
	var deleted, added, delta int64
	n := eachRecord(t, "wikiticker-2015-09-12-sampled.json.gz", d, func(row *decode.Row, fields map[string]any) {
		added += row.Values[at["added"]].Long
		deleted += row.Values[at["deleted"]].Long
		delta += row.Values[at["delta"]].Long
		when, err := time.Parse(time.RFC3339Nano, fields["time"].(string))
		if err != nil || when.UnixMilli() != row.TimeMillis {
			t.Fatalf("time %v read as %d", fields["time"], row.TimeMillis)
		}
		for _, name := range []string{"page", "user", "comment", "channel"} {
			if got := string(row.Values[at[name]].Bytes); got != fields[name] {
				t.Fatalf("%s: got %q, want %q", name, got, fields[name])
			}
		}
	})
	if n != 39244 || added != 9385573 || deleted != 394298 || delta != 8991275 {
		t.Errorf("%d rows, added %d, deleted %d, delta %d", n, added, deleted, delta)
	}
}

func TestGitHub(t *testing.T) {
	s, d := example(t, "github.yaml")
	keys := map[string]bool{}
	n := eachRecord(t, "github-events-2021-07-21.ndjson", d, func(row *decode.Row, fields map[string]any) {
		if row.HasKey {
			keys[string(row.Key)] = true
		}
		for i, dim := range s.DataSchema.Dimensions {
			if text, ok := fields[dim.Name].(string); ok && dim.Type == spec.DimString && string(row.Values[i].Bytes) != text {
				t.Fatalf("%s: got %q, want %q", dim.Name, row.Values[i].Bytes, text)
			}
			if dim.Type == spec.DimJSON && row.Values[i].Kind == decode.Bytes && !json.Valid(row.Values[i].Bytes) {
				t.Fatalf("%s is no JSON: %s", dim.Name, row.Values[i].Bytes)
			}
		}
	})
	if n != 800 || len(keys) != 800 {
		t.Errorf("%d rows with %d keys, want 800", n, len(keys))
	}
}
