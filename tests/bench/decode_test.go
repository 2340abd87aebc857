package bench

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"drumlin/consumer/decode"
)

// decodeScenes: bytes to rows, and bytes to hot rows that a query can read. Floors are looking at the bytes, letting the
// standard library check the JSON, and, for hot rows, decoding alone.
func decodeScenes() []scene {
	return []scene{
		{"events", func(tb testing.TB, rows int) []step { return decodeSteps(tb, events(tb, rows, 0)) }},
		{"edits", func(tb testing.TB, rows int) []step { return decodeSteps(tb, edits(tb, rows)) }},
	}
}

func decodeSteps(tb testing.TB, f feed) []step { return []step{decodeRows(tb, f), decodeHot(tb, f)} }

func decodeAll(tb testing.TB, f feed) func(testing.TB) {
	tb.Helper()
	d, err := decode.New(f.parse(tb))
	must(tb, err)
	return func(tb testing.TB) {
		for i := range f.records {
			if _, reject := d.Decode(&f.records[i].Record); reject != nil {
				tb.Fatalf("record %d: %s", i, reject.Message)
			}
		}
	}
}

func decodeRows(tb testing.TB, f feed) step {
	tb.Helper()
	each := func(valid func([]byte) bool) func(testing.TB) {
		return func(tb testing.TB) {
			for i := range f.records {
				if !valid(f.records[i].Value) {
					tb.Fatalf("record %d is refused by the floor", i)
				}
			}
		}
	}
	return step{name: "rows", rows: len(f.records), run: decodeAll(tb, f), floors: []floor{{"utf8", each(utf8.Valid)}, {"stdlib-valid", each(json.Valid)}}}
}

// decodeHot reads a topic in memory with the real consumer: decoding, judging, identities, Arrow batches, publication.
func decodeHot(tb testing.TB, f feed) step {
	tb.Helper()
	broker := newMemoryBroker(f.parse(tb).IO.Topic, 1)
	broker.add(f.records)
	p := newPipeline(tb, f, broker, 1)
	return step{
		name: "hot rows", rows: len(f.records),
		run: func(tb testing.TB) {
			p.start(tb)
			p.awaitHot(tb, len(f.records))
			p.stop(tb)
		},
		floors: []floor{{"decode", decodeAll(tb, f)}},
	}
}
