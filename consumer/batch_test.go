package consumer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// Whatever is appended, in batches and joins of any size, comes out in the same order with nulls in their places.
func TestBatchesKeepEveryValue(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	mem := memory.NewCheckedAllocator(offHeap{})
	defer mem.AssertSize(t, 0)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "l", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "u", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}, Nullable: true},
	}, nil)
	b, err := newBatchBuilder(schema, 1)
	if err != nil {
		t.Fatal(err)
	}
	log := newHotLog(mem, "t", 0)
	defer log.close()
	log.begin(0, 0, 1, 0, segment.Facts{})
	var want []string
	for len(want) < 5000 {
		for range rng.IntN(300) {
			want = append(want, appendRandom(rng, b, int64(len(want))))
		}
		if err := log.publish(b.finish(mem), nil, 0, int64(len(want))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(log.data); n > 30 {
		t.Errorf("%d rows stand in %d batches", len(want), n)
	}
	h, err := log.read(segment.HotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	var got []string
	for _, batch := range h.Data {
		var rows int64
		for _, r := range batch.Buckets {
			rows += r.Rows
		}
		if rows != batch.Record.NumRows() || rows > maxBatchRows || int64(len(got)) != batch.FromOffset {
			t.Errorf("batch [%d, %d) has %d rows, its buckets %d", batch.FromOffset, batch.ToOffset, batch.Record.NumRows(), rows)
		}
		for i := range int(batch.Record.NumRows()) {
			got = append(got, rowText(batch.Record, i))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Error("rows have changed")
	}
}

func appendRandom(rng *rand.Rand, b *batchBuilder, offset int64) string {
	var text []string
	for _, c := range b.columns {
		switch {
		case rng.IntN(3) == 0:
			c.appendNull()
			text = append(text, "-")
		case c.width == 8:
			c.appendLong(offset)
			text = append(text, fmt.Sprint(offset))
		default:
			v := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, 16)
			c.appendBytes(v)
			text = append(text, string(v))
		}
	}
	start := rng.Int64N(3) * 10
	b.rowAppended(offset, start+5, segment.Bucket{StartMillis: start, EndMillis: start + 10}, false)
	return strings.Join(text, " ")
}

func rowText(r arrow.RecordBatch, i int) string {
	var text []string
	for _, c := range r.Columns() {
		switch c := c.(type) {
		case *array.Int64:
			text = append(text, nullOr(c.IsNull(i), fmt.Sprint(c.Value(i))))
		case *array.String:
			text = append(text, nullOr(c.IsNull(i), c.Value(i)))
		case *array.FixedSizeBinary:
			text = append(text, nullOr(c.IsNull(i), string(c.Value(i))))
		}
	}
	return strings.Join(text, " ")
}

func nullOr(null bool, text string) string {
	if null {
		return "-"
	}
	return text
}

func FuzzEscapeRaw(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add([]byte("\xff\x01\xc3"))
	f.Add(bytes.Repeat([]byte("ä\xfe"), segment.MaxRejectRawBytes))
	f.Fuzz(func(t *testing.T, in []byte) {
		out := escapeRaw(in)
		if !utf8.Valid(out) || len(out) > segment.MaxRejectRawBytes {
			t.Errorf("%d bytes of output, valid=%v", len(out), utf8.Valid(out))
		}
		if utf8.Valid(in) && !bytes.HasPrefix(in, out) {
			t.Error("valid text was changed")
		}
	})
}

func TestEscapeRaw(t *testing.T) {
	if got := string(escapeRaw([]byte("a\xff\xc3b\x01"))); got != `a\xff\xc3b`+"\x01" {
		t.Errorf("escaped as %q", got)
	}
}

func TestParseUUID(t *testing.T) {
	const good = "0f8fad5b-d9cb-469f-a165-70867728950e"
	if id, ok := parseUUID([]byte(good)); !ok || fmt.Sprintf("%x", id[:]) != strings.ReplaceAll(good, "-", "") {
		t.Errorf("%x, %v", id, ok)
	}
	for _, bad := range []string{"", strings.ToUpper(good), good[1:], strings.Replace(good, "-", "0", 1), good + "0"} {
		if _, ok := parseUUID([]byte(bad)); ok {
			t.Errorf("%q was taken as canonical", bad)
		}
	}
}
