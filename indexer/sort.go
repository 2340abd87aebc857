package indexer

import (
	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/segment/rows"
)

// newSorter sorts the source's rows, which come in offset order; rows that sortBy leaves equal stay so.
func newSorter(s *source, schema *arrow.Schema, sortBy []string) (*rows.Sorter[rowRef], error) {
	columns := make([][]arrow.Array, len(sortBy))
	for i, name := range sortBy {
		at := schema.FieldIndices(name)[0]
		for _, b := range s.batches {
			columns[i] = append(columns[i], b.Record.Column(at))
		}
	}
	return rows.NewSorter[rowRef](columns)
}
