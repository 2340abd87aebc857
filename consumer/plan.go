package consumer

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/catalog"
	"drumlin/consumer/decode"
	"drumlin/segment"
	"drumlin/spec"
)

// plan is everything that one version of a spec, with its floors, says about records. It is immutable but for the
// decoder, which the worker's loop alone uses.
type plan struct {
	facts       segment.Facts
	spec        *spec.Supervisor
	schema      *segment.Schema
	arrowSchema *arrow.Schema
	datasource  catalog.Datasource
	granularity spec.Granularity // of the datasource's buckets
	hashKey     [16]byte
	decoder     *decode.Decoder
	judge       judge
}

func newPlan(facts segment.Facts, s *spec.Supervisor, schema *segment.Schema, ds catalog.Datasource) (*plan, error) {
	p := &plan{facts: facts, spec: s, schema: schema, datasource: ds}
	var err error
	if p.granularity, err = spec.ParseGranularity(ds.SegmentGranularity); err != nil {
		return nil, fmt.Errorf("datasource %s: %w", ds.Name, err)
	}
	if schema.Dedup {
		if p.hashKey, err = segment.ParseHashKey(ds.HashKey); err != nil {
			return nil, fmt.Errorf("datasource %s: %w", ds.Name, err)
		}
	}
	p.arrowSchema = segment.HotArrowSchema(schema)
	if p.decoder, err = decode.New(s); err != nil {
		return nil, fmt.Errorf("supervisor %s version %d: %w", s.ID, facts.SpecVersion, err)
	}
	if err := p.checkColumns(); err != nil {
		return nil, fmt.Errorf("supervisor %s version %d: %w", s.ID, facts.SpecVersion, err)
	}
	p.judge = judge{granularity: p.granularity, facts: facts, io: s.IO, dedup: s.DataSchema.Dedup}
	return p, nil
}

// checkColumns checks that the schema has a place of the right type for every value of a row.
func (p *plan) checkColumns() error {
	for _, c := range p.decoder.Columns() {
		at := p.arrowSchema.FieldIndices(c.Name)
		if len(at) == 0 {
			return fmt.Errorf("schema %d has no column %q, which the spec fills", p.schema.ID, c.Name)
		}
		want, err := segment.ArrowType(segment.ColumnType(c.Type))
		if err != nil {
			return fmt.Errorf("column %q: %w", c.Name, err)
		}
		if have := p.arrowSchema.Field(at[0]).Type; !arrow.TypeEqual(have, want) {
			return fmt.Errorf("column %q has type %s in schema %d, and the spec fills it as %s", c.Name, have, p.schema.ID, c.Type)
		}
	}
	return nil
}

// bucketOf returns the bucket under which rejects with this Kafka timestamp are kept.
func (p *plan) bucketOf(kafkaMillis int64) segment.Bucket {
	start, end := p.granularity.Chunk(clampMillis(kafkaMillis))
	return segment.Bucket{StartMillis: start, EndMillis: end}
}
