package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drumlin/tests/harness"
)

// parquetFiles lists the files of this kind under a directory.
func parquetFiles(t *testing.T, dir, skip string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(path, ".parquet") && (skip == "" || !strings.Contains(path, skip)) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDamagedFilesGiveNoWrongAnswer harms the cache while the process runs, and the objects while it does not.
func TestDamagedFilesGiveNoWrongAnswer(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "stored", 1)
	d.Apply(t, specFor("stored", "topic: stored", "hour"))
	harness.Produce(t, d.Client(t), numbered("stored", 1, 0, 5000, always(time.Now().UnixMilli()))...)
	d.Handoff(t, "stored")
	right := func(when string) {
		t.Helper()
		if n := d.SQL(t, `SELECT SUM(value) AS n FROM stored`).Int(t, "n"); n != 5000*4999/2 {
			t.Errorf("%s: the sum is %d", when, n)
		}
	}
	right("at first")
	cache := filepath.Join(d.DataDir, "cache")
	cached := parquetFiles(t, cache, "")
	for i := range 20 {
		for _, f := range cached {
			flipBit(t, f, i)
		}
		right(fmt.Sprintf("bit flip %d in the cache", i))
	}
	if err := os.RemoveAll(cache); err != nil {
		t.Fatal(err)
	}
	right("without the cache's directory")
	d.Kill(t)
	objects := parquetFiles(t, filepath.Join(d.DataDir, "objects"), "")
	if err := os.RemoveAll(cache); err != nil {
		t.Fatal(err)
	}
	flipBit(t, objects[0], 7)
	d.Start(t)
	answer, err := d.Ask(t.Context(), `SELECT SUM(value) AS n FROM stored`)
	if err != nil || answer.Status != 500 || !strings.Contains(string(answer.Body), "damaged in the object store") {
		t.Errorf("a damaged object: %v, %d %s", err, answer.Status, answer.Body)
	}
	flipBit(t, objects[0], 7)
	right("with the object mended")
}

// flipBit changes one bit, at a place that depends on n alone; the same again mends it.
func flipBit(t *testing.T, path string, n int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[n*7919%len(b)] ^= 1 << (n % 8)
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}
