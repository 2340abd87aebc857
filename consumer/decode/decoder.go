package decode

import (
	"errors"
	"fmt"

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

	timeField  field
	dimensions []spec.Dimension
	dimFields  []field
	hasKey     bool
	keyField   field

	row Row
}

// New compiles the spec. Its errors are a user's: a path, a timestamp format or a type that is not supported.
func New(s *spec.Supervisor) (*Decoder, error) {
	c, err := newCompiler(&s.IO.Input)
	if err != nil {
		return nil, fmt.Errorf("inputFormat: %w", err)
	}
	d := &Decoder{
		maxRecordBytes: maxRecordBytes, root: c.root, kafka: c.kafka,
		dimensions: append([]spec.Dimension(nil), s.DataSchema.Dimensions...),
	}
	if d.timestamp, err = newTimestampReader(&s.DataSchema.Timestamp); err != nil {
		return nil, fmt.Errorf("timestampSpec: %w", err)
	}
	if err := d.compileFields(c, s); err != nil {
		return nil, err
	}
	d.scanner.captures = make([]capture, c.slots)
	d.scanner.scratch = &d.scratch
	d.row.Values = make([]Value, len(d.dimensions))
	return d, nil
}

func (d *Decoder) compileFields(c *compiler, s *spec.Supervisor) (err error) {
	if d.timeField, err = c.field(s.DataSchema.Timestamp.Column); err != nil {
		return fmt.Errorf("timestampSpec: %w", err)
	}
	for _, dim := range d.dimensions {
		switch dim.Type {
		case spec.DimString, spec.DimLong, spec.DimDouble, spec.DimFloat, spec.DimJSON:
		default:
			return fmt.Errorf("dimension %q has type %q: use string, long, double, float or json", dim.Name, dim.Type)
		}
		f, err := c.field(dim.Name)
		if err != nil {
			return fmt.Errorf("dimension %q: %w", dim.Name, err)
		}
		d.dimFields = append(d.dimFields, f)
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
	for i := range d.dimensions {
		if reject := d.convert(&d.row.Values[i], d.find(d.dimFields[i]), &d.dimensions[i]); reject != nil {
			return nil, reject
		}
	}
	d.row.HasKey, d.row.Key = false, nil
	if d.hasKey {
		if key, _ := d.text(d.find(d.keyField)); len(key) > 0 {
			d.row.HasKey, d.row.Key = true, key
		}
	}
	return &d.row, nil
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
