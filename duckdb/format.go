package duckdb

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"
	"time"
)

// appendDecimal appends a signed 128-bit integer with scale digits after the point.
func appendDecimal(dst []byte, h hugeInt, scale int) []byte {
	hi, lo := uint64(h.upper), h.lower
	if h.upper < 0 {
		dst = append(dst, '-')
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	if scale == 0 {
		return appendUint128(dst, hi, lo)
	}
	var digits [40]byte
	d := appendUint128(digits[:0], hi, lo)
	if point := len(d) - scale; point > 0 {
		dst = append(dst, d[:point]...)
		d = d[point:]
	} else {
		dst = append(dst, '0')
	}
	dst = append(dst, '.')
	for range scale - len(d) {
		dst = append(dst, '0')
	}
	return append(dst, d...)
}

func appendUint128(dst []byte, hi, lo uint64) []byte {
	if hi == 0 {
		return strconv.AppendUint(dst, lo, 10)
	}
	const e19 = 10_000_000_000_000_000_000 // the largest power of ten in 64 bits
	hiQuotient, rest := bits.Div64(0, hi, e19)
	loQuotient, low := bits.Div64(rest, lo, e19)
	dst = appendUint128(dst, hiQuotient, loQuotient)
	var digits [20]byte
	d := strconv.AppendUint(digits[:0], low, 10)
	for range 19 - len(d) {
		dst = append(dst, '0')
	}
	return append(dst, d...)
}

// appendBits appends a BIT value: its first byte counts the bits of padding at the front.
func appendBits(dst, b []byte) []byte {
	if len(b) < 2 {
		return dst
	}
	for i := int(b[0]); i < (len(b)-1)*8; i++ {
		dst = append(dst, '0'+b[1+i/8]>>(7-i%8)&1)
	}
	return dst
}

// appendUUID appends a UUID, which is stored with its highest bit flipped so that it sorts as a signed number.
func appendUUID(dst []byte, h hugeInt) []byte {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(h.upper)^1<<63)
	binary.BigEndian.PutUint64(raw[8:], h.lower)
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		start := [...]int{0, 4, 6, 8, 10}[i]
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, raw[start:end])
	}
	return dst
}

// appendTimestamp appends an instant given in units of 1/perSecond seconds since 1970, as 2015-09-12T00:00:00.000Z, with
// more digits where milliseconds do not hold it. The extremes are DuckDB's infinities.
func appendTimestamp(dst []byte, units, perSecond int64) []byte {
	switch units {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case -math.MaxInt64:
		return append(dst, "-infinity"...)
	}
	second := units / perSecond
	rest := units % perSecond
	if rest < 0 {
		second, rest = second-1, rest+perSecond
	}
	t := time.Unix(second, 0).UTC()
	year, month, day := t.Date()
	dst = appendYear(dst, year)
	dst = appendTwo(append(dst, '-'), int(month))
	dst = appendTwo(append(dst, '-'), day)
	hour, minute, sec := t.Clock()
	dst = appendTwo(append(dst, 'T'), hour)
	dst = appendTwo(append(dst, ':'), minute)
	dst = appendTwo(append(dst, ':'), sec)
	return append(appendFraction(dst, rest*(1e9/perSecond)), 'Z')
}

func appendYear(dst []byte, year int) []byte {
	if year < 0 {
		dst, year = append(dst, '-'), -year
	}
	for limit := 1000; limit > year && limit > 1; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(year), 10)
}

func appendTwo(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// appendFraction appends nanoseconds as .mmm, .uuuuuu or .nnnnnnnnn, the shortest that loses nothing.
func appendFraction(dst []byte, nanos int64) []byte {
	digits, n := 9, nanos
	for digits > 3 && n%1000 == 0 {
		digits, n = digits-3, n/1000
	}
	var buf [9]byte
	for i := digits - 1; i >= 0; i-- {
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return append(append(dst, '.'), buf[:digits]...)
}

// appendDate appends a day as its midnight, as timestamps are.
func appendDate(dst []byte, days int32) []byte {
	switch days {
	case math.MaxInt32:
		return append(dst, "infinity"...)
	case -math.MaxInt32:
		return append(dst, "-infinity"...)
	}
	return appendTimestamp(dst, int64(days)*86400, 1)
}

func appendTimeOfDay(dst []byte, nanos int64) []byte {
	second := nanos / 1e9
	dst = appendTwo(dst, int(second/3600))
	dst = appendTwo(append(dst, ':'), int(second/60%60))
	dst = appendTwo(append(dst, ':'), int(second%60))
	return appendFraction(dst, nanos%1e9)
}

// appendTimeTZ appends a time with its offset: microseconds in the upper 40 bits, and in the lower 24 the offset from the
// largest one, in seconds.
func appendTimeTZ(dst []byte, packed uint64) []byte {
	const largestOffset = 16*3600 - 1
	dst = appendTimeOfDay(dst, int64(packed>>24)*1000)
	offset := largestOffset - int(packed&(1<<24-1))
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = appendTwo(append(dst, sign), offset/3600)
	dst = appendTwo(append(dst, ':'), offset/60%60)
	if offset%60 != 0 {
		dst = appendTwo(append(dst, ':'), offset%60)
	}
	return dst
}

// appendInterval appends a period as ISO 8601 writes it, such as P1Y2M3DT4H5M6.5S.
func appendInterval(dst []byte, v interval) []byte {
	start := len(dst)
	dst = append(dst, 'P')
	part := func(n int64, unit byte) {
		if n != 0 {
			dst = append(strconv.AppendInt(dst, n, 10), unit)
		}
	}
	part(int64(v.months/12), 'Y')
	part(int64(v.months%12), 'M')
	part(int64(v.days), 'D')
	if v.micros != 0 {
		dst = append(dst, 'T')
		part(v.micros/3_600_000_000, 'H')
		part(v.micros/60_000_000%60, 'M')
		if rest := v.micros % 60_000_000; rest != 0 {
			dst = append(strconv.AppendFloat(dst, float64(rest)/1e6, 'f', -1, 64), 'S')
		}
	}
	if len(dst) == start+1 {
		dst = append(dst, "T0S"...)
	}
	return dst
}
