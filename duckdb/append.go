package duckdb

import (
	"encoding/base64"
	"math"
	"strconv"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// AppendJSON appends the value as one JSON value. Numbers of every width are JSON numbers; NaN and infinities, which JSON
// does not have, are null; times are ISO 8601 in UTC; blobs are base64; maps are objects by the text of their keys.
func (r *Result) AppendJSON(dst []byte, row, col int) []byte {
	return r.vectors[col].appendJSON(dst, row)
}

// AppendText appends the value as plain text, for CSV: strings as they are, everything else as in JSON without quotes.
// A null appends nothing, as does an empty string: IsNull tells them apart.
func (r *Result) AppendText(dst []byte, row, col int) []byte {
	return r.vectors[col].appendText(dst, row)
}

func (v *vector) appendJSON(dst []byte, row int) []byte {
	if !v.valid(row) {
		return append(dst, "null"...)
	}
	switch v.typ.ID {
	case Varchar:
		return appendString(dst, v.bytes(row))
	case Boolean, TinyInt, SmallInt, Integer, BigInt, HugeInt, UTinyInt, USmallInt, UInteger, UBigInt, UHugeInt, Decimal:
		return v.appendText(dst, row)
	case Double:
		return appendFloatJSON(dst, at[float64](v, row), 64)
	case Float:
		return appendFloatJSON(dst, float64(at[float32](v, row)), 32)
	case List, Array, Struct, Map:
		return v.appendNested(dst, row)
	case Union:
		return v.children[at[uint8](v, row)].appendJSON(dst, row)
	case Enum:
		return appendString(dst, []byte(v.typ.Values[v.enumIndex(row)]))
	}
	// Everything else is text without a character that JSON escapes.
	dst = append(dst, '"')
	return append(v.appendText(dst, row), '"')
}

func (v *vector) appendText(dst []byte, row int) []byte {
	if !v.valid(row) {
		return dst
	}
	switch v.typ.ID {
	case Varchar:
		return append(dst, v.bytes(row)...)
	case Boolean:
		return strconv.AppendBool(dst, at[bool](v, row))
	case TinyInt, SmallInt, Integer, BigInt:
		return strconv.AppendInt(dst, v.signed(row), 10)
	case UTinyInt, USmallInt, UInteger, UBigInt:
		return strconv.AppendUint(dst, v.unsigned(row), 10)
	case HugeInt:
		return appendDecimal(dst, at[hugeInt](v, row), 0)
	case UHugeInt:
		h := at[hugeInt](v, row)
		return appendUint128(dst, uint64(h.upper), h.lower)
	case Decimal:
		return appendDecimal(dst, v.decimal(row), v.typ.Scale)
	case Double:
		return appendFloatText(dst, at[float64](v, row), 64)
	case Float:
		return appendFloatText(dst, float64(at[float32](v, row)), 32)
	case Blob:
		return base64.StdEncoding.AppendEncode(dst, v.bytes(row))
	case Bit:
		return appendBits(dst, v.bytes(row))
	case UUID:
		return appendUUID(dst, at[hugeInt](v, row))
	case Enum:
		return append(dst, v.typ.Values[v.enumIndex(row)]...)
	case Interval:
		return appendInterval(dst, at[interval](v, row))
	case List, Array, Struct, Map:
		return v.appendNested(dst, row)
	case Union:
		return v.children[at[uint8](v, row)].appendText(dst, row)
	}
	return v.appendTime(dst, row)
}

func (v *vector) appendTime(dst []byte, row int) []byte {
	switch v.typ.ID {
	case Date:
		return appendDate(dst, at[int32](v, row))
	case Time:
		return appendTimeOfDay(dst, at[int64](v, row)*1000)
	case TimeNS:
		return appendTimeOfDay(dst, at[int64](v, row))
	case TimeTZ:
		return appendTimeTZ(dst, at[uint64](v, row))
	case TimestampS:
		return appendTimestamp(dst, at[int64](v, row), 1)
	case TimestampMS:
		return appendTimestamp(dst, at[int64](v, row), 1e3)
	case TimestampNS:
		return appendTimestamp(dst, at[int64](v, row), 1e9)
	}
	return appendTimestamp(dst, at[int64](v, row), 1e6)
}

func (v *vector) enumIndex(row int) int {
	switch v.typ.physical {
	case bindings.TypeUTinyInt:
		return int(at[uint8](v, row))
	case bindings.TypeUSmallInt:
		return int(at[uint16](v, row))
	}
	return int(at[uint32](v, row))
}

// decimal returns the unscaled value.
func (v *vector) decimal(row int) hugeInt {
	var n int64
	switch v.typ.physical {
	case bindings.TypeSmallInt:
		n = int64(at[int16](v, row))
	case bindings.TypeInteger:
		n = int64(at[int32](v, row))
	case bindings.TypeBigInt:
		n = at[int64](v, row)
	default:
		return at[hugeInt](v, row)
	}
	return hugeInt{lower: uint64(n), upper: n >> 63}
}

// appendNested appends a list, an array or a row without names as a JSON array, a struct or a map as a JSON object.
func (v *vector) appendNested(dst []byte, row int) []byte {
	switch v.typ.ID {
	case List:
		e := at[listEntry](v, row)
		return v.appendElements(dst, int(e.offset), int(e.length))
	case Array:
		return v.appendElements(dst, row*v.typ.Size, v.typ.Size)
	case Map:
		e := at[listEntry](v, row)
		dst = append(dst, '{')
		for i := int(e.offset); i < int(e.offset+e.length); i++ {
			if i > int(e.offset) {
				dst = append(dst, ',')
			}
			dst = appendString(dst, v.children[0].appendText(nil, i))
			dst = v.children[1].appendJSON(append(dst, ':'), i)
		}
		return append(dst, '}')
	}
	if v.typ.unnamed() {
		dst = append(dst, '[')
		for i := range v.typ.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.children[i].appendJSON(dst, row)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, f := range v.typ.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, []byte(f.Name))
		dst = v.children[i].appendJSON(append(dst, ':'), row)
	}
	return append(dst, '}')
}

func (v *vector) appendElements(dst []byte, from, n int) []byte {
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = v.children[0].appendJSON(dst, from+i)
	}
	return append(dst, ']')
}

func appendFloatJSON(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return appendFloat(dst, f, bits)
}

func appendFloatText(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	return appendFloat(dst, f, bits)
}

// appendFloat writes the shortest number that reads back the same, always with a point or an exponent, so that readers
// that tell integers from doubles see a double.
func appendFloat(dst []byte, f float64, bits int) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// appendString appends s as a JSON string. Only what JSON asks to be escaped is escaped.
func appendString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	plain := 0 // start of what has not been copied yet
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[plain:]...), '"')
}
