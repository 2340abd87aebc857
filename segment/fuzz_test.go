package segment

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// FuzzOpenReader: whatever the bytes are, reading them ends in rows or in ErrCorrupt.
func FuzzOpenReader(f *testing.F) {
	for _, name := range []string{"format1", "folded1", "ids1"} {
		golden, err := os.ReadFile(filepath.Join("testdata", name+".parquet"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(golden, 0, byte(0))
		f.Add(golden, len(golden)-20, byte(0x40))
	}
	f.Add([]byte("PAR1"), 0, byte(1))
	f.Fuzz(func(t *testing.T, content []byte, at int, flip byte) {
		if len(content) > 1<<20 {
			t.Skip("long inputs find nothing that short ones do not")
		}
		content = bytes.Clone(content)
		if at >= 0 && at < len(content) {
			content[at] ^= flip
		}
		r, err := OpenReader("object", bytes.NewReader(content), int64(len(content)))
		if err != nil {
			wantCorrupt(t, err)
			return
		}
		for g := range r.RowGroups() {
			rec, err := r.ReadRowGroup(t.Context(), g, nil)
			if err != nil {
				wantCorrupt(t, err)
				continue
			}
			rec.Release()
		}
	})
}

func wantCorrupt(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("not ErrCorrupt: %v", err)
	}
}

// TestDamagedFilesNeverPanic flips bits all over a file.
func TestDamagedFilesNeverPanic(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "format1.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(golden); at += 23 {
		content := bytes.Clone(golden)
		content[at] ^= 1 << (at % 8)
		r, err := OpenReader("object", bytes.NewReader(content), int64(len(content)))
		if err != nil {
			wantCorrupt(t, err)
			continue
		}
		for g := range r.RowGroups() {
			rec, err := r.ReadRowGroup(t.Context(), g, nil)
			if err != nil {
				wantCorrupt(t, err)
				continue
			}
			rec.Release()
		}
	}
}

// FuzzMeta: a description that decodes and is valid survives being written and read again.
func FuzzMeta(f *testing.F) {
	f.Add([]byte(`{"object":"data/x","bytes":1,"sha256":"` + string(bytes.Repeat([]byte("a"), 64)) + `","kind":"data",
		"bucket":{"start":0,"end":10},"rows":1,"columns":[{"id":1,"min":{"l":3},"max":{"d":"-Infinity"}}],
		"sources":[{"topic":"t","from":0,"to":1}]}`))
	f.Add([]byte(`{"columns":[{"min":{"d":1e999}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Meta
		if json.Unmarshal(data, &m) != nil {
			return
		}
		if err := m.Validate(); err != nil {
			wantCorrupt(t, err)
			return
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again Meta
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		second, err := json.Marshal(again)
		if err != nil || !bytes.Equal(text, second) || !reflect.DeepEqual(m.Bucket, again.Bucket) {
			t.Errorf("%s became %s, %v", text, second, err)
		}
	})
}

// FuzzSchema: a schema that is valid has its Arrow layouts.
func FuzzSchema(f *testing.F) {
	text, err := json.Marshal(testSchema())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Schema
		if json.Unmarshal(data, &s) != nil || s.Validate() != nil {
			return
		}
		if HotArrowSchema(&s).NumFields()+3 != FileArrowSchema(&s).NumFields() {
			t.Error("a file has not three columns more than a hot batch")
		}
	})
}
