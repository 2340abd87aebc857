package rollup

import (
	"encoding/binary"
	"math"
	"math/big"
)

const (
	// wideChunks of 32 bits hold every sum of 2^63 doubles, in units of 2^-1074.
	wideChunks = 70
	// wideUnit: a value of 1 is 2^wideUnit units.
	wideUnit = 1074
	// overflowShift: an overflowed sum is stored in units of 2^overflowShift.
	overflowShift = 1023
	// maxRestParts: each part takes 53 bits off what is left.
	maxRestParts = wideChunks*32/53 + 2
)

// wideSum is a sum of doubles of any range without any error: a signed number in chunks of 32 bits, each kept in 64, so
// that carries need settling only every 2^30 additions.
type wideSum struct {
	chunks [wideChunks]int64
	adds   int32
}

// add adds a finite value.
func (w *wideSum) add(x float64) {
	b := math.Float64bits(x)
	exponent, mantissa := int(b>>52&0x7ff), b&(1<<52-1)
	if exponent > 0 {
		mantissa |= 1 << 52
		exponent--
	}
	w.addAt(mantissa, uint(exponent), b>>63 != 0)
}

// addAt adds ±mantissa·2^shift units. The shift is at most 2,108.
func (w *wideSum) addAt(mantissa uint64, shift uint, negative bool) {
	at, k := shift/32, shift%32
	low, high := mantissa<<k, mantissa>>(64-k)
	parts := [3]int64{int64(low & math.MaxUint32), int64(low >> 32), int64(high)}
	for i, p := range parts {
		if p == 0 {
			continue
		}
		if negative {
			p = -p
		}
		w.chunks[at+uint(i)] += p
	}
	if w.adds++; w.adds >= 1<<30 {
		w.settle()
	}
}

// settle brings every chunk but the last into 32 bits without a sign.
func (w *wideSum) settle() {
	var carry int64
	for i := range wideChunks - 1 {
		v := w.chunks[i] + carry
		w.chunks[i], carry = v&math.MaxUint32, v>>32
	}
	w.chunks[wideChunks-1] += carry
	w.adds = 0
}

func (w *wideSum) merge(o *wideSum) {
	w.settle()
	o.settle()
	for i, v := range o.chunks {
		w.chunks[i] += v
	}
	w.settle()
}

// units gives the sum as a whole number of units.
func (w *wideSum) units() *big.Int {
	w.settle()
	var raw [(wideChunks - 1) * 4]byte
	for i := range wideChunks - 1 {
		binary.BigEndian.PutUint32(raw[len(raw)-4*(i+1):], uint32(w.chunks[i]))
	}
	top := big.NewInt(w.chunks[wideChunks-1])
	top.Lsh(top, (wideChunks-1)*32)
	return top.Add(top, new(big.Int).SetBytes(raw[:]))
}

// rounded gives x·2^exponent as the nearest double, ties to even.
func rounded(x *big.Int, exponent int) float64 {
	f := new(big.Float).SetPrec(uint(max(x.BitLen(), 64))).SetInt(x)
	out, _ := f.SetMantExp(f, exponent).Float64()
	return out
}

// exactUnits gives d·2^exponent in units. It must be a whole number of them.
func exactUnits(d float64, exponent int) *big.Int {
	f := new(big.Float).SetFloat64(d)
	out, _ := f.SetMantExp(f, exponent+wideUnit).Int(nil)
	return out
}

// parts appends the rest to dst, as doubleSum.parts says.
func (w *wideSum) parts(dst []float64) (value float64, rest []float64) {
	left := w.units()
	value = rounded(left, -wideUnit)
	if math.IsInf(value, 0) {
		scaled := rounded(left, -wideUnit-overflowShift)
		dst = append(dst, scaled)
		left.Sub(left, exactUnits(scaled, overflowShift))
	} else {
		left.Sub(left, exactUnits(value, 0))
	}
	for left.Sign() != 0 {
		part := rounded(left, -wideUnit)
		dst = append(dst, part)
		left.Sub(left, exactUnits(part, 0))
	}
	return value, dst
}

// decodeWide reads a stored sum that two doubles may not hold. It accepts what parts gives and nothing else.
func decodeWide(value float64, rest []byte) (*wideSum, error) {
	if len(rest)%8 != 0 || len(rest) > 8*maxRestParts || math.IsNaN(value) {
		return nil, corrupt("a sum of %v with a rest of %d bytes", value, len(rest))
	}
	w := &wideSum{}
	if !math.IsInf(value, 0) {
		w.add(value)
	}
	given := make([]float64, 0, len(rest)/8)
	for at := 0; at < len(rest); at += 8 {
		part := math.Float64frombits(binary.LittleEndian.Uint64(rest[at:]))
		given = append(given, part)
		switch {
		case math.IsNaN(part) || math.IsInf(part, 0):
			return nil, corrupt("a sum with a rest of %v", part)
		case at == 0 && math.IsInf(value, 0):
			if math.Abs(part) < 1 || math.Abs(part) > 0x1p63 {
				return nil, corrupt("an overflowed sum of %v times 2^%d", part, overflowShift)
			}
			b := math.Float64bits(part)
			w.addAt(b&(1<<52-1)|1<<52, uint(b>>52&0x7ff)-1+overflowShift, part < 0)
		default:
			w.add(part)
		}
	}
	again, parts := w.parts(nil)
	if again != value || len(parts) != len(given) {
		return nil, corrupt("a sum of %v and %v is not in its one form", value, given)
	}
	for i, part := range parts {
		if part != given[i] {
			return nil, corrupt("a sum of %v and %v is not in its one form", value, given)
		}
	}
	return w, nil
}
