package query

import (
	"fmt"
	"math/bits"
	"sort"
	"strings"

	"drumlin/segment"
)

// positionCode packs a position into one number that orders as positions do: base(topic, generation) + partition in
// the high bits, offset in the low ones. It serves one query: the bases are made from the sources that occur in it.
type positionCode struct {
	bases      []positionBase // ascending by (topic, generation)
	offsetBits int
	wide       bool // does not fit 63 bits
}

type positionBase struct {
	topic      string
	generation int32
	base       int64
}

func newPositionCode(sources []segment.OffsetRange) positionCode {
	type topicGeneration struct {
		topic      string
		generation int32
	}
	last := map[topicGeneration]int32{}
	var end int64
	for _, s := range sources {
		k := topicGeneration{s.Topic, s.Generation}
		if p, ok := last[k]; !ok || s.Partition > p {
			last[k] = s.Partition
		}
		end = max(end, s.To)
	}
	var c positionCode
	for k := range last {
		c.bases = append(c.bases, positionBase{topic: k.topic, generation: k.generation})
	}
	sort.Slice(c.bases, func(i, j int) bool {
		a, b := c.bases[i], c.bases[j]
		return a.topic < b.topic || a.topic == b.topic && a.generation < b.generation
	})
	var ranks int64
	for i := range c.bases {
		b := &c.bases[i]
		b.base = ranks
		ranks += int64(last[topicGeneration{b.topic, b.generation}]) + 1
	}
	c.offsetBits = bits.Len64(uint64(end))
	c.wide = c.offsetBits+bits.Len64(uint64(ranks)) > 63
	return c
}

// sql is the expression over the position columns. A position that no base covers is an error, not a null.
func (c positionCode) sql() string {
	kind := "BIGINT"
	if c.wide {
		kind = "HUGEINT"
	}
	base := "0"
	if len(c.bases) == 1 {
		base = fmt.Sprint(c.bases[0].base)
	} else if len(c.bases) > 1 {
		var b strings.Builder
		b.WriteString("CASE")
		for _, x := range c.bases {
			fmt.Fprintf(&b, " WHEN %s = %s AND %s = %d THEN %d", segment.TopicColumn, quoteText(x.topic),
				segment.GenerationColumn, x.generation, x.base)
		}
		b.WriteString(" ELSE CAST(error('a row comes from a topic that its segment does not name') AS BIGINT) END")
		base = b.String()
	}
	return fmt.Sprintf("(CAST(%s AS %s) + %s) * CAST(%s AS %s) + %s", base, kind, segment.PartitionColumn,
		powerOfTwo(c.offsetBits), kind, segment.OffsetColumn)
}

func powerOfTwo(n int) string {
	if n >= 63 {
		return "9223372036854775808"
	}
	return fmt.Sprint(int64(1) << n)
}
