package rollup

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/segment"
)

// moment is what first and last order rows by: the time, then the position. No two records share one.
type moment struct {
	time       int64
	offset     int64
	topic      uint32 // in topics
	generation int32
	partition  int32
}

// topics numbers the names of topics, so that a moment holds no pointer.
type topics struct {
	names []string
	ids   map[string]uint32
	last  uint32
}

func (t *topics) id(name string) uint32 {
	if int(t.last) < len(t.names) && t.names[t.last] == name {
		return t.last
	}
	id, ok := t.ids[name]
	if !ok {
		if t.ids == nil {
			t.ids = map[string]uint32{}
		}
		id = uint32(len(t.names))
		name = strings.Clone(name)
		t.names = append(t.names, name)
		t.ids[name] = id
	}
	t.last = id
	return id
}

func (t *topics) compare(a, b *moment) int {
	if a.time != b.time {
		return cmp.Compare(a.time, b.time)
	}
	if a.topic != b.topic {
		return strings.Compare(t.names[a.topic], t.names[b.topic])
	}
	return cmp.Or(cmp.Compare(a.generation, b.generation), cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
}

// A stored moment: time (8 bytes), topic, a zero byte, generation and partition (4 each), offset (8); numbers big-endian
// with the sign bit flipped. So moments order as their bytes do.
const (
	momentFixedBytes = 8 + 1 + 4 + 4 + 8
	maxTopicBytes    = 255
	flip64           = 1 << 63
	flip32           = 1 << 31
)

func (t *topics) encode(dst []byte, m *moment) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.time)^flip64)
	dst = append(dst, t.names[m.topic]...)
	dst = append(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.generation)^flip32)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.partition)^flip32)
	return binary.BigEndian.AppendUint64(dst, uint64(m.offset)^flip64)
}

func (t *topics) decode(data []byte) (moment, error) {
	if len(data) < momentFixedBytes || len(data) > momentFixedBytes+maxTopicBytes {
		return moment{}, corrupt("a moment of %d bytes", len(data))
	}
	topic, tail := data[8:len(data)-17], data[len(data)-17:]
	if tail[0] != 0 || bytes.IndexByte(topic, 0) >= 0 {
		return moment{}, corrupt("a moment whose topic does not end")
	}
	out := moment{
		time:       int64(binary.BigEndian.Uint64(data) ^ flip64),
		generation: int32(binary.BigEndian.Uint32(tail[1:]) ^ flip32),
		partition:  int32(binary.BigEndian.Uint32(tail[5:]) ^ flip32),
		offset:     int64(binary.BigEndian.Uint64(tail[9:]) ^ flip64),
	}
	if int(t.last) < len(t.names) && t.names[t.last] == string(topic) {
		out.topic = t.last
	} else {
		out.topic = t.id(string(topic))
	}
	return out, nil
}

// positions gives the position of each row of a batch.
type positions struct {
	constant               *segment.Position
	topic                  *array.String
	generation, partitions *array.Int32
	offset                 *array.Int64
}

func (b *batch) positions() (positions, error) {
	out := positions{constant: b.rows.Position}
	var ok bool
	if out.offset, ok = b.column(segment.OffsetColumn).(*array.Int64); !ok {
		return out, fmt.Errorf("the rows have no %s, which first and last need", segment.OffsetColumn)
	}
	if out.constant != nil {
		return out, nil
	}
	var okTopic, okGeneration, okPartition bool
	out.topic, okTopic = b.column(segment.TopicColumn).(*array.String)
	out.generation, okGeneration = b.column(segment.GenerationColumn).(*array.Int32)
	out.partitions, okPartition = b.column(segment.PartitionColumn).(*array.Int32)
	if !okTopic || !okGeneration || !okPartition {
		return out, fmt.Errorf("the rows have no position, which first and last need: give columns %s, %s and %s, or Rows.Position",
			segment.TopicColumn, segment.GenerationColumn, segment.PartitionColumn)
	}
	return out, nil
}

func (p *positions) at(t *topics, row int, time int64) moment {
	m := moment{time: time, offset: p.offset.Value(row)}
	if p.constant != nil {
		m.topic, m.generation, m.partition = t.id(p.constant.Topic), p.constant.Generation, p.constant.Partition
		return m
	}
	m.topic, m.generation, m.partition = t.id(p.topic.Value(row)), p.generation.Value(row), p.partitions.Value(row)
	return m
}
