package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"drumlin/consumer"
	"drumlin/consumer/decode"
	"drumlin/internal/generate"
	"drumlin/internal/ndjson"
	"drumlin/internal/testkit"
	"drumlin/spec"
)

// feed is a set of records with the spec that reads them.
type feed struct {
	spec    []byte
	records []consumer.Record // without a place in a topic
}

// events are generated ones, spread over many hours: late ones over a week. Of 1,000 records copies repeat an earlier one.
func events(tb testing.TB, rows, copies int) feed {
	tb.Helper()
	g := generate.New(generate.Options{Events: int64(rows), Duplicates: float64(copies) / 1000, Late: 0.01, Seed: 1})
	f := feed{spec: specFile(tb, "events.yaml")}
	for {
		value, key, millis, ok := g.Next(nil)
		if !ok {
			return f
		}
		f.records = append(f.records, consumer.Record{
			Record: decode.Record{Key: key, Value: value, TimestampMillis: millis}, LeaderEpoch: -1,
		})
	}
}

// edits are the Wikipedia edits of one day, over and over until there are rows of them.
func edits(tb testing.TB, rows int) feed {
	tb.Helper()
	f := feed{spec: specFile(tb, "wikipedia.yaml")}
	r, err := ndjson.Open(testkit.SharedData(tb, "wikiticker-2015-09-12-sampled.json.gz"), nil)
	must(tb, err)
	defer r.Close()
	timestamp := time.Date(2015, 9, 13, 0, 0, 0, 0, time.UTC).UnixMilli()
	for len(f.records) < rows {
		line, _, err := r.Next()
		if err != nil { // the end
			break
		}
		f.records = append(f.records, consumer.Record{
			Record: decode.Record{Value: append([]byte(nil), line...), TimestampMillis: timestamp}, LeaderEpoch: -1,
		})
	}
	for at := 0; len(f.records) < rows; at++ {
		f.records = append(f.records, f.records[at])
	}
	return f
}

func specFile(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(tb), "configs", "specs", name))
	must(tb, err)
	return text
}

func (f feed) parse(tb testing.TB) *spec.Supervisor {
	tb.Helper()
	s, _, err := spec.Parse(f.spec)
	must(tb, err)
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
