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
	p.judge = judge{granularity: p.granularity, facts: facts, io: s.IO, dedup: s.DataSchema.Dedup}
	return p, nil
}

// bucketOf returns the bucket under which rejects with this Kafka timestamp are kept.
func (p *plan) bucketOf(kafkaMillis int64) segment.Bucket {
	start, end := p.granularity.Chunk(clampMillis(kafkaMillis))
	return segment.Bucket{StartMillis: start, EndMillis: end}
}
