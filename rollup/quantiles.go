package rollup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/DataDog/sketches-go/ddsketch/mapping"
)

const (
	// QuantileError is the relative error of every quantile.
	QuantileError = 0.01
	// quantilesVersion opens a stored sketch. The error and the mapping belong to it.
	quantilesVersion = 1
	// maxBinIndex bounds the index of a bin: e^709.8 is the greatest double, and a bin is 1.01/0.99 wide.
	maxBinIndex = 1 << 16
)

// Quantiles is a DDSketch: counts of values in bins of equal relative width. The bins are the library's mapping; their
// store is ours, because the library's keeps what it writes in the order of its history, counts in doubles, and does not
// report all damage. The zero value is empty and ready.
type Quantiles struct {
	zero     uint64 // values that are 0, or nearer to it than 2.3e-308
	negative bins
	positive bins
}

// logMapping gives the index of a value's bin and the value of a bin.
var logMapping = newLogMapping()

func newLogMapping() *mapping.LogarithmicMapping {
	m, err := mapping.NewLogarithmicMapping(QuantileError)
	if err != nil {
		panic(err) // the constant is within range
	}
	return m
}

// Add adds a value. NaN and infinite values are not added, and it says so with false.
func (q *Quantiles) Add(v float64) bool {
	size := math.Abs(v)
	switch {
	case v-v != 0:
		return false
	case size <= logMapping.MinIndexableValue():
		q.zero++
	case v < 0:
		q.negative.add(indexOf(size))
	default:
		q.positive.add(indexOf(size))
	}
	return true
}

// indexOf gives the bin of a positive value; the topmost bin holds the very greatest doubles too.
func indexOf(size float64) int32 {
	return int32(logMapping.Index(min(size, logMapping.MaxIndexableValue())))
}

// Count is the number of values.
func (q *Quantiles) Count() int64 {
	return int64(q.zero + q.negative.total() + q.positive.total())
}

// Empty says whether no value was added. An empty sketch has no stored form.
func (q *Quantiles) Empty() bool { return q.zero == 0 && q.negative.empty() && q.positive.empty() }

// errQuantile: the fraction is none.
var errQuantile = errors.New("a quantile must be from 0 to 1")

// Quantile gives the value at a fraction from 0 (least) to 1 (greatest), within QuantileError of the value of rank
// fraction·(count−1), rounded down. ok is false where the sketch is empty.
func (q *Quantiles) Quantile(fraction float64) (value float64, ok bool, err error) {
	if !(fraction >= 0 && fraction <= 1) {
		return 0, false, fmt.Errorf("%v: %w", fraction, errQuantile)
	}
	count := uint64(q.Count())
	if count == 0 {
		return 0, false, nil
	}
	rank := min(uint64(fraction*float64(count-1)), count-1)
	negatives := q.negative.total()
	switch {
	case rank < negatives:
		return -logMapping.Value(int(q.negative.atRank(negatives - 1 - rank))), true, nil
	case rank < negatives+q.zero:
		return 0, true, nil
	}
	return logMapping.Value(int(q.positive.atRank(rank - negatives - q.zero))), true, nil
}

// MergeFrom adds the values of another sketch.
func (q *Quantiles) MergeFrom(o *Quantiles) error {
	if o.Count() > math.MaxInt64-q.Count() {
		return corrupt("quantiles of more than %d values", int64(math.MaxInt64))
	}
	q.zero += o.zero
	q.negative.merge(&o.negative)
	q.positive.merge(&o.positive)
	return nil
}

// Merge adds the values of a stored sketch. An error is segment.ErrCorrupt and changes nothing.
func (q *Quantiles) Merge(state []byte) error {
	var o Quantiles
	if err := o.decode(state); err != nil {
		return err
	}
	return q.MergeFrom(&o)
}

// AppendState appends the stored form: version, zeroes, negative bins, positive bins. It must not be empty.
func (q *Quantiles) AppendState(dst []byte) []byte {
	dst = append(dst, quantilesVersion)
	dst = binary.AppendUvarint(dst, q.zero)
	dst = q.negative.encode(dst)
	return q.positive.encode(dst)
}

// decode reads a stored sketch into an empty one.
func (q *Quantiles) decode(state []byte) error {
	if len(state) == 0 || state[0] != quantilesVersion {
		return corrupt("not a sketch of quantiles of version %d", quantilesVersion)
	}
	r := reader{left: state[1:]}
	q.zero = r.uvarint()
	q.negative.decode(&r)
	q.positive.decode(&r)
	if r.bad || len(r.left) > 0 {
		return corrupt("a sketch of quantiles that is cut short or not in its one form")
	}
	total := q.zero
	for _, side := range []*bins{&q.negative, &q.positive} {
		for _, b := range side.sorted {
			if total += b.count; total > math.MaxInt64 || b.count > math.MaxInt64 {
				return corrupt("quantiles of more than %d values", int64(math.MaxInt64))
			}
		}
	}
	if total == 0 || total > math.MaxInt64 {
		return corrupt("quantiles of %d values", total)
	}
	return nil
}

// QuantileOf gives a quantile of a stored sketch; nil stands for an empty one, which has none.
func QuantileOf(state []byte, fraction float64) (value float64, ok bool, err error) {
	var q Quantiles
	if state != nil {
		if err := q.decode(state); err != nil {
			return 0, false, err
		}
	}
	return q.Quantile(fraction)
}

// MergeQuantiles merges stored sketches into one; nil ones are empty, and so is the result of none.
func MergeQuantiles(states ...[]byte) ([]byte, error) {
	var q Quantiles
	for i, state := range states {
		if state == nil {
			continue
		}
		if err := q.Merge(state); err != nil {
			return nil, fmt.Errorf("sketch %d: %w", i, err)
		}
	}
	if q.Empty() {
		return nil, nil
	}
	return q.AppendState(nil), nil
}
