package oracle

import (
	"fmt"
	"testing"
	"time"
)

var rules = Rules{TimeField: "t", KeyField: "k", Chunk: time.Hour}

func ledgerOf(t *testing.T, values ...string) *Ledger {
	t.Helper()
	l := NewLedger()
	for i, v := range values {
		r := Record{Topic: "a", Partition: int32(i % 2), Offset: int64(i / 2), Timestamp: time.UnixMilli(7_200_000), Value: []byte(v)}
		if err := l.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestLowestPositionWinsWithinAChunk(t *testing.T) {
	l := ledgerOf(t,
		`{"t":10,"k":"x","v":"p0 o0"}`, `{"t":10,"k":"x","v":"p1 o0"}`,
		`{"t":3600001,"k":"x","v":"other chunk"}`, `{"t":10,"v":"no key"}`,
		`not json`, `{"t":10,"k":"","v":"no key"}`)
	got, err := l.At(l.Ends(), rules)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"p0 o0": 1, "other chunk": 1, "no key": 2}
	if fmt.Sprint(got.GroupCount("v")) != fmt.Sprint(want) || got.Duplicates != 1 || len(got.Rejected) != 1 {
		t.Fatalf("got %v, %d duplicates, %d rejected", got.GroupCount("v"), got.Duplicates, len(got.Rejected))
	}
}

func TestCutBeyondTheLedgerIsRefused(t *testing.T) {
	l := ledgerOf(t, `{"t":1}`)
	if _, err := l.At(Cut{"a": {0: 2}}, rules); err == nil {
		t.Fatal("a cut past what is known must be refused")
	}
}

func TestTwoRecordsAtOnePositionAreRefused(t *testing.T) {
	l := ledgerOf(t, `{"t":1}`)
	if err := l.Add(Record{Topic: "a", Value: []byte(`{"t":2}`)}); err == nil {
		t.Fatal("other content at a known position must be refused")
	}
}
