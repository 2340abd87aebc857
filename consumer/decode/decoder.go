package decode

import (
	"errors"
	"fmt"
	"slices"

	"drumlin/rollup"
	"drumlin/spec"
)

// maxRecordBytes limits a record's value, key and headers together.
const maxRecordBytes = 8 << 20

// maxKeptScratchBytes is the largest scratch memory that a Decoder keeps from one record to the next.
const maxKeptScratchBytes = 1 << 20

// Decoder decodes the records of one spec. It is for one goroutine; each partition has its own.
type Decoder struct {
	maxRecordBytes int // maxRecordBytes; tests have less
	root           *node
	kafka          *kafkaColumns // nil: rows come from values alone
	scanner        scanner
	scratch        arena
	timestamp      timestampReader

	timeField    field
	columns      []spec.Dimension // dimensions, then what metrics alone read
	columnFields []field
	hasKey       bool
	keyField     field
	transforms   *transforms // nil: none
	readMillis   int64       // the time as the timestampSpec has read it

	row Row
}

// New compiles the spec. Its errors are a user's: a path, a timestamp format, an expression or a type that is not supported.
func New(s *spec.Supervisor) (*Decoder, error) {
	c, err := newCompiler(&s.IO.Input)
	if err != nil {
		return nil, fmt.Errorf("inputFormat: %w", err)
	}
	d := &Decoder{
		maxRecordBytes: maxRecordBytes, root: c.root, kafka: c.kafka,
	}
	if d.columns, err = columnsOf(s); err != nil {
		return nil, err
	}
	if d.timestamp, err = newTimestampReader(&s.DataSchema.Timestamp); err != nil {
		return nil, fmt.Errorf("timestampSpec: %w", err)
	}
	if err := d.compileFields(c, s); err != nil {
		return nil, err
	}
	if err := d.compileTransforms(c, s); err != nil {
		return nil, err
	}
	d.scanner.captures = make([]capture, c.slots)
	d.scanner.scratch = &d.scratch
	d.row.Values = make([]Value, len(d.columns))
	return d, nil
}

// columnsOf gives the columns that a spec fills.
func columnsOf(s *spec.Supervisor) ([]spec.Dimension, error) {
	out := slices.Clone(s.DataSchema.Dimensions)
	if !s.DataSchema.Rollup || len(s.DataSchema.Metrics) == 0 {
		return out, nil
	}
	metrics, _, err := rollup.ParseMetrics(s.DataSchema.Metrics)
	if err != nil {
		return nil, err
	}
	inputs, err := rollup.Inputs(metrics, segmentColumns(out))
	if err != nil {
		return nil, err
	}
	for _, c := range inputs {
		out = append(out, spec.Dimension{Name: c.Name, Type: spec.DimensionType(c.Type)})
	}
	return out, nil
}

// Columns returns the columns that Row.Values are of: the spec's dimensions, then, of a spec with rollup, what its metrics
// read beyond them.
func (d *Decoder) Columns() []spec.Dimension { return slices.Clone(d.columns) }

func (d *Decoder) compileFields(c *compiler, s *spec.Supervisor) (err error) {
	if d.timeField, err = c.field(s.DataSchema.Timestamp.Column); err != nil {
		return fmt.Errorf("timestampSpec: %w", err)
	}
	for _, dim := range d.columns {
		switch dim.Type {
		case spec.DimString, spec.DimLong, spec.DimDouble, spec.DimFloat, spec.DimJSON:
		default:
			return fmt.Errorf("dimension %q has type %q: use string, long, double, float or json", dim.Name, dim.Type)
		}
		f, err := c.field(dim.Name)
		if err != nil {
			return fmt.Errorf("dimension %q: %w", dim.Name, err)
		}
		d.columnFields = append(d.columnFields, f)
	}
	if dedup := s.DataSchema.Dedup; dedup != nil {
		if dedup.Key == "" {
			return errors.New("dedupSpec: name the key's field")
		}
		d.hasKey = true
		if d.keyField, err = c.field(dedup.Key); err != nil {
			return fmt.Errorf("dedupSpec: %w", err)
		}
	}
	return nil
}

// Decode turns a record into a row or a reject: one of the two is nil. The row holds until the next Decode.
func (d *Decoder) Decode(rec *Record) (*Row, *Reject) {
	if cap(d.scratch.buf) > maxKeptScratchBytes {
		d.scratch.buf = nil
	}
	d.scratch.buf = d.scratch.buf[:0]
	clear(d.scanner.captures)
	if reject := d.read(rec); reject != nil {
		return nil, reject
	}
	var reject *Reject
	if d.row.TimeMillis, reject = d.time(); reject != nil {
		return nil, reject
	}
	if d.transforms != nil {
		reject = d.transform()
	} else {
		reject = d.fill()
	}
	if reject != nil {
		return nil, reject
	}
	d.row.HasKey, d.row.Key = false, nil
	if d.hasKey {
		if key, _ := d.text(d.find(d.keyField)); len(key) > 0 {
			d.row.HasKey, d.row.Key = true, key
		}
	}
	return &d.row, nil
}

// fill converts the columns' fields.
func (d *Decoder) fill() *Reject {
	for i := range d.columns {
		if reject := d.convert(&d.row.Values[i], d.find(d.columnFields[i]), &d.columns[i]); reject != nil {
			return reject
		}
	}
	return nil
}

// transform fills the row by transforms and fields, and asks the filter. A record that has no row is rejected whatever the
// filter would say.
func (d *Decoder) transform() *Reject {
	t := d.transforms
	d.readMillis = d.row.TimeMillis
	t.run.Begin()
	if t.time >= 0 {
		if reject := d.replaceTime(); reject != nil {
			return reject
		}
	}
	for i := range d.columns {
		var reject *Reject
		if from := t.columns[i]; from >= 0 {
			reject = d.transformed(&d.row.Values[i], from, &d.columns[i])
		} else {
			reject = d.convert(&d.row.Values[i], d.find(d.columnFields[i]), &d.columns[i])
		}
		if reject != nil {
			return reject
		}
	}
	kept, err := t.run.Keeps(d.row.TimeMillis)
	if err != nil {
		return transformFailed(err)
	}
	d.row.Filtered = !kept
	return nil
}

// read captures what the fields need.
func (d *Decoder) read(rec *Record) *Reject {
	size := len(rec.Value) + len(rec.Key)
	for i := range rec.Headers {
		size += len(rec.Headers[i].Key) + len(rec.Headers[i].Value)
	}
	switch {
	case size > d.maxRecordBytes:
		return &Reject{Reason: ReasonTooLarge, Message: fmt.Sprintf("value, key and headers are %d bytes, the limit is %d",
			size, d.maxRecordBytes)}
	case rec.Value == nil && d.kafka == nil:
		return &Reject{Reason: ReasonTombstone, Message: "the record has no value (a tombstone)"}
	case rec.Value != nil && !d.scanner.scan(rec.Value, d.root):
		return d.scanner.reject
	case d.kafka != nil:
		return d.kafka.fill(rec, d.scanner.captures, &d.scratch)
	}
	return nil
}

func (d *Decoder) find(f field) *capture {
	c := &d.scanner.captures[f.slot]
	if c.kind == capMissing {
		c = &d.scanner.captures[f.kafkaSlot]
	}
	return c
}
