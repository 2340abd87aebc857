package query

import (
	"cmp"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"

	"drumlin/catalog"
	"drumlin/segment"
)

// sidecars writes what is known of the hours into one object.
func (c *compacted) sidecars(span segment.Bucket, known map[int64]map[string]bool) []catalog.Sidecar {
	type id struct{ hi, lo int64 }
	var ids []id
	for at, keys := range known {
		for key := range keys {
			hi, lo := segment.Identity(c.tab.hashKey, at, []byte(key))
			ids = append(ids, id{int64(hi), int64(lo)})
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, func(a, b id) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) })
	b := array.NewRecordBuilder(c.w.alloc, segment.IDsArrowSchema())
	defer b.Release()
	for _, v := range ids {
		b.Field(0).(*array.Int64Builder).Append(v.hi)
		b.Field(1).(*array.Int64Builder).Append(v.lo)
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	sum, key := c.put(rec, nil)
	return []catalog.Sidecar{{Bucket: span, Object: key, Bytes: sum.Bytes, SHA256: sum.SHA256, Rows: sum.Rows}}
}
