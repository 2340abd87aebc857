package decode

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"drumlin/spec"
)

// kafkaColumns fills fields from the parts of a Kafka record beside its value.
type kafkaColumns struct {
	format  *spec.KafkaFormat
	columns []kafkaColumn // those that the spec reads

	keyRoot  *node // nil: the key is text, or not read
	keyFirst int   // slot of the key's capture in keyScan
	keyScan  scanner
}

// kafkaColumn is one field. Of the parts that carry its name the first that the record has gives its value.
type kafkaColumn struct {
	slot     int
	header   string // without the prefix
	isHeader bool
	parts    []kafkaPart
}

type kafkaPart uint8

const (
	partTimestamp kafkaPart = iota
	partTopic
	partPartition
	partOffset
	partKey
)

func newKafkaColumns(format *spec.KafkaFormat) (*kafkaColumns, error) {
	k := &kafkaColumns{format: format}
	if format.KeyFormat == nil || format.KeyAsString {
		return k, nil
	}
	k.keyRoot = newRoot()
	n := &node{}
	if fields := format.KeyFormat.Fields; len(fields) > 0 {
		steps, err := fieldSteps(fields[0])
		if err != nil {
			return nil, fmt.Errorf("keyFormat: %w", err)
		}
		n = k.keyRoot.at(steps)
	} else {
		k.keyRoot.first = n
	}
	k.keyFirst = noSlot + 1
	n.slot = k.keyFirst
	k.keyScan.captures = make([]capture, k.keyFirst+1)
	return k, nil
}

// parts returns the parts of a record that carry the name, in the order in which they count.
func (k *kafkaColumns) parts(name string) []kafkaPart {
	var parts []kafkaPart
	for _, p := range []struct {
		column string
		part   kafkaPart
	}{
		{k.format.TimestampColumn, partTimestamp},
		{k.format.TopicColumn, partTopic},
		{k.format.PartitionColumn, partPartition},
		{k.format.OffsetColumn, partOffset},
	} {
		if p.column == name {
			parts = append(parts, p.part)
		}
	}
	if k.format.KeyColumn == name && (k.format.KeyAsString || k.keyRoot != nil) {
		parts = append(parts, partKey)
	}
	return parts
}

// has says whether a field of this name can come from the Kafka record.
func (k *kafkaColumns) has(name string) bool {
	return name != "" && (k.format.Headers && strings.HasPrefix(name, k.format.HeaderPrefix) || len(k.parts(name)) > 0)
}

// want has the field put into the slot.
func (k *kafkaColumns) want(name string, slot int) {
	c := kafkaColumn{slot: slot, parts: k.parts(name)}
	if k.format.Headers {
		c.header, c.isHeader = strings.CutPrefix(name, k.format.HeaderPrefix)
	}
	k.columns = append(k.columns, c)
}

// fill captures the wanted fields.
func (k *kafkaColumns) fill(rec *Record, captures []capture, scratch *arena) *Reject {
	for i := range k.columns {
		c := &k.columns[i]
		if c.isHeader {
			found, reject := headerCapture(rec, c.header, &captures[c.slot])
			if reject != nil {
				return reject
			}
			if found {
				continue
			}
		}
		for _, part := range c.parts {
			value, reject := k.part(part, rec, scratch)
			if reject != nil {
				return reject
			}
			if value.kind != capMissing {
				captures[c.slot] = value
				break
			}
		}
	}
	return nil
}

// headerCapture captures the last of the record's headers of this name.
func headerCapture(rec *Record, name string, out *capture) (found bool, reject *Reject) {
	for i := len(rec.Headers) - 1; i >= 0; i-- {
		h := &rec.Headers[i]
		switch {
		case h.Key != name:
			continue
		case h.Value == nil:
			*out = capture{kind: capNull}
		case !utf8.Valid(h.Value):
			return false, &Reject{Reason: ReasonInvalidUTF8, Message: fmt.Sprintf("the header %q is not UTF-8 text: %s",
				name, shorten(h.Value))}
		default:
			*out = capture{kind: capText, text: h.Value}
		}
		return true, nil
	}
	return false, nil
}

func (k *kafkaColumns) part(part kafkaPart, rec *Record, scratch *arena) (capture, *Reject) {
	switch part {
	case partTimestamp:
		return capture{kind: capInteger, text: scratch.integer(rec.TimestampMillis)}, nil
	case partTopic:
		from := len(scratch.buf)
		scratch.buf = append(scratch.buf, rec.Topic...)
		return capture{kind: capText, text: scratch.buf[from:len(scratch.buf):len(scratch.buf)]}, nil
	case partPartition:
		return capture{kind: capInteger, text: scratch.integer(int64(rec.Partition))}, nil
	case partOffset:
		return capture{kind: capInteger, text: scratch.integer(rec.Offset)}, nil
	default:
		return k.key(rec, scratch)
	}
}

// key captures the record's key, or of a key in JSON its first field.
func (k *kafkaColumns) key(rec *Record, scratch *arena) (capture, *Reject) {
	if rec.Key == nil {
		return capture{}, nil
	}
	if k.format.KeyAsString {
		if !utf8.Valid(rec.Key) {
			return capture{}, &Reject{Reason: ReasonInvalidUTF8, Message: "the record's key is not UTF-8 text: " +
				shorten(rec.Key)}
		}
		return capture{kind: capText, text: rec.Key}, nil
	}
	clear(k.keyScan.captures)
	k.keyScan.scratch = scratch
	if !k.keyScan.scan(rec.Key, k.keyRoot) {
		return capture{}, &Reject{Reason: ReasonInvalidKafkaKey, Message: fmt.Sprintf("the record's key: %s: %s",
			k.keyScan.reject.Reason, k.keyScan.reject.Message)}
	}
	return k.keyScan.captures[k.keyFirst], nil
}
