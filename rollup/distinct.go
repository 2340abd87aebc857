package rollup

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/axiomhq/hyperloglog"
	metro "github.com/dgryski/go-metro"
)

const (
	distinctPrecision = 14   // 2^14 registers: a standard error of 0.81 %
	distinctHashSeed  = 1337 // the sketch library's own
	// A group keeps plain hashes up to fewHashes; past that a sketch, unless half of them were repeats.
	fewHashes = 128
	// Header bytes of a stored sketch.
	sketchVersion     = 2
	sketchHeaderBytes = 8
	// A stored sketch longer than this leaves a buffer behind that is worth letting go.
	compactBytes = 1024
)

// Distinct is a HyperLogLog sketch of distinct values. The zero value is empty and ready. Its stored form is the sketch
// library's, brought into one form: equal sets of values give equal bytes.
type Distinct struct {
	few    []uint64
	sketch *hyperloglog.Sketch
}

// HashText, HashLong and HashDouble give the hashes that Distinct takes. Numbers and texts never count as equal; a float
// is hashed as the double that it equals.
func HashText(s []byte) uint64 { return metro.Hash64(s, distinctHashSeed) }

// HashString is HashText of a string.
func HashString(s string) uint64 { return metro.Hash64Str(s, distinctHashSeed) }

// HashLong hashes a 64-bit integer: its 8 bytes, little-endian.
func HashLong(v int64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(v))
	return metro.Hash64(b[:], distinctHashSeed)
}

// HashDouble hashes a double: its 8 bytes, little-endian; one zero, one NaN.
func HashDouble(v float64) uint64 { return HashLong(int64(numberBits(v + 0))) }

// Add adds one value by its hash.
func (d *Distinct) Add(hash uint64) {
	if d.sketch != nil {
		d.sketch.InsertHash(hash)
		return
	}
	if d.few = append(d.few, hash); len(d.few) < fewHashes {
		return
	}
	slices.Sort(d.few)
	if d.few = slices.Compact(d.few); len(d.few) > fewHashes/2 {
		d.promote()
	}
}

// promote makes a sketch of the hashes.
func (d *Distinct) promote() *hyperloglog.Sketch {
	if d.sketch == nil {
		d.sketch = hyperloglog.New14()
		for _, hash := range d.few {
			d.sketch.InsertHash(hash)
		}
		d.few = nil
	}
	return d.sketch
}

// Merge adds the values of a stored sketch. An error is segment.ErrCorrupt and changes nothing.
func (d *Distinct) Merge(state []byte) error {
	other, err := decodeDistinct(state)
	if err != nil {
		return err
	}
	if d.sketch == nil && len(d.few) == 0 {
		d.sketch = other
		return nil
	}
	return d.mergeSketch(other, state[3] == 1 && len(state) > compactBytes)
}

// mergeSketch merges, and lets go of the library's unsorted buffer where it has become large: it never shrinks, and would
// hold several times what the registers take.
func (d *Distinct) mergeSketch(other *hyperloglog.Sketch, compact bool) error {
	s := d.promote()
	if err := s.Merge(other); err != nil {
		return err
	}
	if compact {
		s.Estimate() // empties the buffer
		d.sketch = s.Clone()
	}
	return nil
}

// MergeFrom adds the values of another sketch, which stays as it was.
func (d *Distinct) MergeFrom(other *Distinct) error {
	for _, hash := range other.few {
		d.Add(hash)
	}
	if other.sketch == nil {
		return nil
	}
	return d.mergeSketch(other.sketch, true)
}

// Empty says whether no value was added. An empty sketch has no stored form.
func (d *Distinct) Empty() bool { return d.sketch == nil && len(d.few) == 0 }

// Estimate is the number of distinct values, approximately.
func (d *Distinct) Estimate() int64 {
	if d.Empty() {
		return 0
	}
	return int64(d.promote().Estimate())
}

// AppendState appends the stored form. It must not be empty.
func (d *Distinct) AppendState(dst []byte) ([]byte, error) {
	return appendSketch(dst, d.promote())
}

// appendSketch brings a sketch into its one form. Estimate empties the library's unsorted buffer into its sorted list and
// goes over to registers exactly where that list is longer than they are; as lists only grow with their sets, no order
// of merges can come to registers earlier.
func appendSketch(dst []byte, s *hyperloglog.Sketch) ([]byte, error) {
	s.Estimate()
	return s.AppendBinary(dst)
}

// decodeDistinct reads a stored sketch. The library checks lengths and values; here the form is checked.
func decodeDistinct(state []byte) (*hyperloglog.Sketch, error) {
	if len(state) < sketchHeaderBytes || state[0] != sketchVersion || state[1] != distinctPrecision {
		return nil, corrupt("not a sketch of distinct values of version %d and precision %d", sketchVersion, distinctPrecision)
	}
	if sparse := state[3] == 1; sparse && (binary.BigEndian.Uint32(state[4:]) != 0 || len(state) > 20+1<<distinctPrecision) {
		return nil, corrupt("a sketch of distinct values that is not in its one form")
	}
	s := &hyperloglog.Sketch{}
	if err := s.UnmarshalBinary(state); err != nil {
		return nil, corrupt("%s", err)
	}
	return s, nil
}

// EstimateDistinct is the number of distinct values of a stored sketch; nil stands for an empty one.
func EstimateDistinct(state []byte) (int64, error) {
	if state == nil {
		return 0, nil
	}
	s, err := decodeDistinct(state)
	if err != nil {
		return 0, err
	}
	return int64(s.Estimate()), nil
}

// MergeDistinct merges stored sketches into one; nil ones are empty, and so is the result of none.
func MergeDistinct(states ...[]byte) ([]byte, error) {
	var d Distinct
	for i, state := range states {
		if state == nil {
			continue
		}
		if err := d.Merge(state); err != nil {
			return nil, fmt.Errorf("sketch %d: %w", i, err)
		}
	}
	if d.Empty() {
		return nil, nil
	}
	return d.AppendState(nil)
}

// Guesses at the memory of a sketch: of its registers and what comes before them, and of one with few values.
const (
	sketchBytes = 1<<distinctPrecision + 1<<11
	sparseBytes = 128
)
