package decode

import (
	"encoding/json"
	"fmt"
	"testing"
	"unicode/utf8"

	"drumlin/spec"
)

// benchEvents are events of about 346 bytes with eight columns, as the figures in the project's notes have them.
func benchEvents() (s *spec.Supervisor, records [][]byte) {
	s = &spec.Supervisor{
		DataSchema: spec.DataSchema{
			Timestamp: spec.TimestampSpec{Column: "timestamp", Format: "auto"},
			Dimensions: []spec.Dimension{
				{Name: "event", Type: spec.DimString},
				{Name: "userId", Type: spec.DimString},
				{Name: "page", Type: spec.DimString},
				{Name: "country", Type: spec.DimString},
				{Name: "count", Type: spec.DimLong},
				{Name: "price", Type: spec.DimDouble},
				{Name: "properties", Type: spec.DimJSON},
			},
			Dedup: &spec.DedupSpec{Key: "messageId"},
		},
		IO: spec.IOConfig{Input: spec.InputFormat{Value: spec.FlattenSpec{Discovery: true}}},
	}
	for i := range 1000 {
		records = append(records, fmt.Appendf(nil, `{"messageId":"%08x-1b2c-4d5e-8f90-%012x","timestamp":"2026-11-21T%02d:%02d:%02d.%03dZ",`+
			`"event":"Product Viewed","userId":"user-%07d","page":"https://shop.example.com/products/%05d?ref=home","country":"DE",`+
			`"count":%d,"price":%d.%02d,"properties":{"category":"garden","tags":["a","b","c"],"position":%d,"referrer":"search"},`+
			`"ip":"10.0.%d.%d"}`, i*7919, i*104729, i%24, i%60, i%59, i%1000, i*31, i*17, i%50, i%200, i%100, i%20, i%256, i%251))
	}
	return s, records
}

func BenchmarkDecode(b *testing.B) {
	s, records := benchEvents()
	total := 0
	for _, r := range records {
		total += len(r)
	}
	run := func(name string, one func([]byte) bool) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(total / len(records)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !one(records[i%len(records)]) {
					b.Fatal("a record was not accepted")
				}
			}
		})
	}
	d := mustNew(b, s)
	rec := &Record{}
	run("decode", func(r []byte) bool {
		rec.Value = r
		_, reject := d.Decode(rec)
		return reject == nil
	})
	// Floors: looking at every byte once, checking UTF-8; and what the standard library takes to check and to decode.
	run("floor/bytes", func(r []byte) bool {
		sum := 0
		for _, c := range r {
			if c == '"' {
				sum++
			}
		}
		return sum > 0
	})
	run("floor/utf8", utf8.Valid)
	run("std/valid", json.Valid)
	run("std/struct", func(r []byte) bool {
		var event struct {
			MessageID, Timestamp, Event, UserID, Page, Country string
			Count                                              int64
			Price                                              float64
			Properties                                         json.RawMessage
		}
		return json.Unmarshal(r, &event) == nil
	})
}

func TestDecodeAllocatesNothing(t *testing.T) {
	s, records := benchEvents()
	d := mustNew(t, s)
	rec := &Record{}
	i := 0
	decode := func() {
		rec.Value = records[i%len(records)]
		i++
		if _, reject := d.Decode(rec); reject != nil {
			t.Fatal(reject.Message)
		}
	}
	if n := testing.AllocsPerRun(2000, decode); n != 0 {
		t.Errorf("%v allocations per record, want none", n)
	}
}
