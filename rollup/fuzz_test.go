package rollup

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"drumlin/segment"
)

func restBytes(rest []float64) []byte {
	var out []byte
	for _, part := range rest {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(part))
	}
	return out
}

func wantCorrupt(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("not ErrCorrupt: %v", err)
	}
}

// FuzzDoubleSum: a stored sum is refused, or stored again as the same bytes.
func FuzzDoubleSum(f *testing.F) {
	f.Add(1.0, []byte(nil))
	f.Add(1.0, restBytes([]float64{0x1p-60}))
	f.Add(1e300, restBytes([]float64{1, 1e-300}))
	f.Add(math.Inf(1), restBytes([]float64{4, 1}))
	f.Fuzz(func(t *testing.T, value float64, rest []byte) {
		a := &doubleSum{}
		a.grow(1)
		if err := a.addState(0, value, rest); err != nil {
			wantCorrupt(t, err)
			return
		}
		again, parts := a.parts(&a.sums[0])
		if again != value || !bytes.Equal(restBytes(parts), rest) {
			t.Errorf("%v %v became %v %v", value, rest, again, parts)
		}
	})
}

// FuzzMoment: a stored moment is refused, or stored again as the same bytes.
func FuzzMoment(f *testing.F) {
	var names topics
	f.Add(names.encode(nil, &moment{time: -5, topic: names.id("t"), partition: 3, offset: 9}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var names topics
		m, err := names.decode(data)
		if err != nil {
			wantCorrupt(t, err)
			return
		}
		if again := names.encode(nil, &m); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
	})
}

// FuzzDistinct: a stored sketch is refused, or read, merged and estimated.
func FuzzDistinct(f *testing.F) {
	for _, n := range []int{1, 100, 3000, 40_000} {
		var d Distinct
		for i := range n {
			d.Add(HashLong(int64(i)))
		}
		state, err := d.AppendState(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(state)
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		var d Distinct
		if err := d.Merge(state); err != nil {
			wantCorrupt(t, err)
			return
		}
		again, err := d.AppendState(nil)
		if err != nil || !bytes.Equal(again, state) {
			t.Errorf("%d bytes became %d, %v", len(state), len(again), err)
		}
		twice, err := MergeDistinct(state, state)
		if err != nil || !bytes.Equal(twice, state) {
			t.Errorf("a sketch with itself is %d bytes, not %d: %v", len(twice), len(state), err)
		}
	})
}

// FuzzQuantiles: a stored sketch is refused, or stored again as the same bytes.
func FuzzQuantiles(f *testing.F) {
	var q Quantiles
	for _, v := range []float64{0, 1, 1, -3, 1e300, -1e-300} {
		q.Add(v)
	}
	f.Add(q.AppendState(nil))
	f.Add([]byte{quantilesVersion, 5, 0, 0})
	f.Fuzz(func(t *testing.T, state []byte) {
		var q Quantiles
		if err := q.Merge(state); err != nil {
			wantCorrupt(t, err)
			return
		}
		if again := q.AppendState(nil); !bytes.Equal(again, state) {
			t.Errorf("%x became %x", state, again)
		}
		for _, p := range []float64{0, 0.3, 1} {
			if v, ok, err := q.Quantile(p); !ok || err != nil || math.IsNaN(v) {
				t.Errorf("quantile %v is %v, %v, %v", p, v, ok, err)
			}
		}
		if _, err := MergeQuantiles(state, state); err != nil {
			wantCorrupt(t, err) // too many values together
		}
	})
}

// FuzzParseMetrics: what is accepted survives being written and read again.
func FuzzParseMetrics(f *testing.F) {
	f.Add([]byte(allMetrics))
	f.Add([]byte(`[{"type":"HLLSketchMerge","name":"a","fieldName":"b","lgK":14}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		metrics, _, err := ParseMetrics(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(metrics)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := ParseMetrics(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if len(again) != len(metrics) {
			t.Fatalf("%d metrics became %d", len(metrics), len(again))
		}
		for i, m := range metrics {
			if !m.Equal(again[i]) {
				t.Errorf("%s is not what it was", text)
			}
		}
		if _, err := Compile(metrics, testColumns); err != nil {
			return
		}
	})
}
