package decode

import (
	"fmt"

	"drumlin/spec"
)

// text returns what a string dimension holds for the capture; present is false for a missing value and null.
func (d *Decoder) text(c *capture) (text []byte, present bool) {
	switch c.kind {
	case capMissing, capNull:
		return nil, false
	case capString:
		raw := c.text[1 : len(c.text)-1]
		if c.escaped {
			raw = d.scratch.unescape(raw)
		}
		return raw, true
	default:
		return c.text, true
	}
}

// convert gives the capture the dimension's type. It reports false, with the reject, where that cannot be.
func (d *Decoder) convert(out *Value, c *capture, dim *spec.Dimension) *Reject {
	*out = Value{}
	if c.kind == capMissing || c.kind == capNull {
		return nil
	}
	switch dim.Type {
	case spec.DimString:
		out.Kind = Bytes
		out.Bytes, _ = d.text(c)
		return nil
	case spec.DimJSON:
		out.Kind = Bytes
		out.Bytes = c.text
		if c.kind == capText {
			out.Bytes = d.scratch.quote(c.text)
		}
		return nil
	case spec.DimLong:
		return d.convertLong(out, c, dim)
	default:
		return d.convertDouble(out, c, dim)
	}
}

func (d *Decoder) convertLong(out *Value, c *capture, dim *spec.Dimension) *Reject {
	ok := false
	switch c.kind {
	case capBool:
		ok = true
		if c.text[0] == 't' {
			out.Long = 1
		}
	case capInteger, capNumber:
		out.Long, ok = parseLong(c.text)
	case capString, capText:
		text, _ := d.text(c)
		if len(text) == 0 {
			return nil
		}
		out.Long, ok = parseLong(text)
	}
	if !ok {
		return unconvertible(c, dim, "a whole number within 64 bits")
	}
	out.Kind = Long
	return nil
}

func (d *Decoder) convertDouble(out *Value, c *capture, dim *spec.Dimension) *Reject {
	bitSize, want := 64, "a number within a double's range"
	if dim.Type == spec.DimFloat {
		bitSize, want = 32, "a number within a float's range"
	}
	ok := false
	switch c.kind {
	case capInteger, capNumber:
		out.Double, ok = parseDouble(c.text, bitSize)
	case capString, capText:
		text, _ := d.text(c)
		if len(text) == 0 {
			return nil
		}
		if out.Double, ok = parseDouble(text, bitSize); !ok {
			out.Double, ok = parseSpecialDouble(text)
		}
	}
	if !ok {
		return unconvertible(c, dim, want)
	}
	out.Kind = Double
	return nil
}

func unconvertible(c *capture, dim *spec.Dimension, want string) *Reject {
	return &Reject{
		Reason: ReasonUnconvertibleValue,
		Message: fmt.Sprintf("column %q is %s: %s is not %s", dim.Name, dim.Type,
			shorten(c.text), want),
	}
}
