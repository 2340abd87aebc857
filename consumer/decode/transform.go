package decode

import (
	"fmt"
	"math"
	"slices"

	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

// transforms is a spec's transformSpec, and where it finds its fields.
type transforms struct {
	run       *rollup.Transformer
	fields    []field
	timeField int // number of __time among fields; −1: not read
	time      int // number of the transform that replaces the time; −1: none
	columns   []int
}

// timeColumns are parts of a Kafka record that differ between two copies of one record.
func timeColumns(k *spec.KafkaFormat) []string {
	if k == nil {
		return nil
	}
	return []string{k.TimestampColumn, k.TopicColumn, k.PartitionColumn, k.OffsetColumn}
}

// compileTransforms prepares the transformSpec, if there is one.
func (d *Decoder) compileTransforms(c *compiler, s *spec.Supervisor) error {
	if len(s.DataSchema.Transforms) == 0 {
		return nil
	}
	parsed, _, err := rollup.ParseTransforms(s.DataSchema.Transforms)
	if err != nil {
		return err
	}
	if err := parsed.CheckTypes(segmentColumns(d.columns)); err != nil {
		return err
	}
	names := parsed.Names()
	t := &transforms{time: slices.Index(names, segment.TimeColumn), timeField: -1}
	if fields, replaces := parsed.TimeFields(); replaces && s.DataSchema.Dedup != nil {
		for _, name := range timeColumns(s.IO.Input.Kafka) {
			if slices.Contains(fields, name) {
				return fmt.Errorf("transformSpec: the transform %s reads %q, which is refused with dedupSpec: two copies of a record "+
					"would get two times", segment.TimeColumn, name)
			}
		}
	}
	for i, name := range parsed.Fields() {
		if name == segment.TimeColumn {
			t.timeField = i
			t.fields = append(t.fields, field{})
			continue
		}
		f, err := c.field(name)
		if err != nil {
			return fmt.Errorf("transformSpec: field %q: %w", name, err)
		}
		t.fields = append(t.fields, f)
	}
	for _, column := range d.columns {
		t.columns = append(t.columns, slices.Index(names, column.Name))
	}
	t.run = parsed.NewTransformer(d.scalar)
	d.transforms = t
	return nil
}

func segmentColumns(columns []spec.Dimension) []segment.Column {
	out := make([]segment.Column, len(columns))
	for i, c := range columns {
		out[i] = segment.Column{Name: c.Name, Type: segment.ColumnType(c.Type)}
	}
	return out
}

// scalar gives a field to expressions and filters.
func (d *Decoder) scalar(i int) (rollup.Scalar, error) {
	if i == d.transforms.timeField {
		return rollup.Scalar{Type: rollup.ScalarLong, Long: d.readMillis}, nil
	}
	c := d.find(d.transforms.fields[i])
	switch c.kind {
	case capMissing, capNull:
		return rollup.Scalar{}, nil
	case capBool:
		out := rollup.Scalar{Type: rollup.ScalarLong, Text: c.text}
		if c.text[0] == 't' {
			out.Long = 1
		}
		return out, nil
	case capInteger, capNumber:
		if c.kind == capInteger {
			if v, ok := parseLong(c.text); ok {
				return rollup.Scalar{Type: rollup.ScalarLong, Long: v}, nil
			}
		}
		v, ok := parseDouble(c.text, 64)
		if !ok {
			return rollup.Scalar{}, fmt.Errorf("the number %s is out of a double's range", shorten(c.text))
		}
		return rollup.Scalar{Type: rollup.ScalarDouble, Double: v}, nil
	}
	text, _ := d.text(c)
	return rollup.Scalar{Type: rollup.ScalarText, Text: text}, nil
}

func transformFailed(err error) *Reject {
	return &Reject{Reason: ReasonTransformFailed, Message: err.Error()}
}

// replaceTime gives the row the time that a transform computes.
func (d *Decoder) replaceTime() *Reject {
	v, err := d.transforms.run.Value(d.transforms.time)
	if err != nil {
		return transformFailed(err)
	}
	switch v.Type {
	case rollup.ScalarNull:
		return &Reject{Reason: ReasonMissingTimestamp, Message: "the transform __time gives null"}
	case rollup.ScalarLong:
		d.row.TimeMillis = v.Long
		return nil
	case rollup.ScalarDouble:
		if floor := math.Floor(v.Double); floor >= math.MinInt64 && floor < -math.MinInt64 {
			d.row.TimeMillis = int64(floor)
			return nil
		}
	case rollup.ScalarText:
		if millis, ok := scaledNumber(v.Text, 0); ok {
			d.row.TimeMillis = millis
			return nil
		}
	}
	return &Reject{
		Reason:  ReasonBadTimestamp,
		Message: fmt.Sprintf("the transform __time gives %s, which is no number of milliseconds: timestamp_parse reads texts", showScalar(v)),
	}
}

// transformed gives a column the value of transform i.
func (d *Decoder) transformed(out *Value, i int, dim *spec.Dimension) *Reject {
	v, err := d.transforms.run.Value(i)
	if err != nil {
		return transformFailed(err)
	}
	*out = Value{}
	if v.Type == rollup.ScalarNull {
		return nil
	}
	ok := false
	switch dim.Type {
	case spec.DimString:
		out.Kind, out.Bytes, ok = Bytes, d.scalarText(v), true
	case spec.DimJSON:
		out.Kind, out.Bytes = Bytes, d.scalarText(v)
		if ok = v.Type != rollup.ScalarDouble || !math.IsNaN(v.Double) && !math.IsInf(v.Double, 0); v.Type == rollup.ScalarText {
			out.Bytes = d.scratch.quote(v.Text)
		}
	case spec.DimLong:
		ok = scalarLong(out, v)
	default:
		ok = scalarDouble(out, v, dim.Type == spec.DimFloat)
	}
	if !ok {
		return &Reject{
			Reason: ReasonUnconvertibleValue,
			Message: fmt.Sprintf("column %q is %s: its transform gives %s, which that cannot hold: use cast, round or floor",
				dim.Name, dim.Type, showScalar(v)),
		}
	}
	return nil
}

func (d *Decoder) scalarText(v rollup.Scalar) []byte {
	switch v.Type {
	case rollup.ScalarLong:
		return d.scratch.integer(v.Long)
	case rollup.ScalarDouble:
		return d.scratch.double(v.Double)
	}
	return v.Text
}

// double returns the text of a double.
func (a *arena) double(v float64) []byte {
	from := len(a.buf)
	a.buf = rollup.AppendDouble(a.buf, v)
	return a.buf[from:len(a.buf):len(a.buf)]
}

// scalarLong converts to a long column as a field of a record is converted: fractions are not cut off.
func scalarLong(out *Value, v rollup.Scalar) (ok bool) {
	out.Kind, ok = Long, true
	switch v.Type {
	case rollup.ScalarLong:
		out.Long = v.Long
	case rollup.ScalarDouble:
		ok = v.Double == math.Trunc(v.Double) && v.Double >= math.MinInt64 && v.Double < -math.MinInt64
		if ok {
			out.Long = int64(v.Double)
		}
	default:
		if len(v.Text) == 0 {
			*out = Value{}
			return true
		}
		out.Long, ok = parseLong(v.Text)
	}
	return ok
}

func scalarDouble(out *Value, v rollup.Scalar, isFloat bool) (ok bool) {
	out.Kind, ok = Double, true
	switch v.Type {
	case rollup.ScalarLong:
		if out.Double = float64(v.Long); isFloat {
			out.Double = float64(float32(v.Long))
		}
	case rollup.ScalarDouble:
		if out.Double = v.Double; isFloat {
			out.Double = float64(float32(v.Double))
			ok = !math.IsInf(out.Double, 0) || math.IsInf(v.Double, 0)
		}
	default:
		bitSize := 64
		if isFloat {
			bitSize = 32
		}
		if len(v.Text) == 0 {
			*out = Value{}
			return true
		}
		if out.Double, ok = parseDouble(v.Text, bitSize); !ok {
			out.Double, ok = parseSpecialDouble(v.Text)
		}
	}
	return ok
}

func showScalar(v rollup.Scalar) string {
	switch v.Type {
	case rollup.ScalarLong:
		return fmt.Sprint(v.Long)
	case rollup.ScalarDouble:
		return string(rollup.AppendDouble(nil, v.Double))
	}
	return shorten(v.Text)
}
