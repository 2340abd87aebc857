package segment

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/dchest/siphash"
)

func TestIdentityIsSipHashOverBucketAndKey(t *testing.T) {
	key, err := ParseHashKey("000102030405060708090a0b0c0d0e0f")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 7, 8, 36, 119, 120, 121, 1015, 1016, 1017, 5000} {
		text := bytes.Repeat([]byte("k"), n)
		h := siphash.New128(key[:])
		var start [8]byte
		binary.LittleEndian.PutUint64(start[:], uint64(1_700_000_000_000))
		h.Write(start[:])
		h.Write(text)
		sum := h.Sum(nil)
		hi, lo := Identity(key, 1_700_000_000_000, text)
		if hi != binary.LittleEndian.Uint64(sum) || lo != binary.LittleEndian.Uint64(sum[8:]) {
			t.Errorf("key of %d bytes: %x %x, want %x", n, hi, lo, sum)
		}
	}
}

func TestIdentityTellsBucketsAndKeysApart(t *testing.T) {
	var key [16]byte
	seen := map[[2]uint64]bool{}
	for bucket := range int64(10) {
		for _, text := range []string{"", "a", "b", "ab", "a\x00"} {
			hi, lo := Identity(key, bucket*3_600_000, []byte(text))
			if seen[[2]uint64{hi, lo}] {
				t.Errorf("bucket %d key %q collides", bucket, text)
			}
			seen[[2]uint64{hi, lo}] = true
		}
	}
}

func TestIdentityDoesNotAllocate(t *testing.T) {
	var key [16]byte
	for _, n := range []int{36, 120, 1016} {
		text := make([]byte, n)
		if got := testing.AllocsPerRun(100, func() { Identity(key, 1, text) }); got != 0 {
			t.Errorf("key of %d bytes: %v allocations", n, got)
		}
	}
}

func TestParseHashKey(t *testing.T) {
	for _, text := range []string{"", "00", "zz0102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0f00"} {
		if _, err := ParseHashKey(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	var key [16]byte
	text := []byte("6f9619ff-8b86-d011-b42d-00c04fc964ff")
	b.ReportAllocs()
	for i := range b.N {
		Identity(key, int64(i), text)
	}
}
