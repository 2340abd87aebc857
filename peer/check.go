package peer

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/segment"
)

// hiddenFields are all the hidden columns that hot rows can have, in their order.
var hiddenFields = segment.HotArrowSchema(&segment.Schema{ID: 1, Dedup: true}).Fields()

// userTypes are the types that a user's column can have.
var userTypes = []segment.ColumnType{segment.TypeString, segment.TypeLong, segment.TypeDouble, segment.TypeFloat}

// checkSchema returns the layout that hot rows of this schema have, or why the schema cannot be one.
func checkSchema(s schemaFrame, got *arrow.Schema) (*arrow.Schema, error) {
	if s.Rejects {
		want := segment.HotRejectsArrowSchema()
		if s.ID != segment.RejectsSchemaID || !got.Equal(want) {
			return nil, malformed("rejects have the schema %d with the columns %v, not those of rejects", s.ID, got)
		}
		return want, nil
	}
	if s.ID < 1 {
		return nil, malformed("hot rows have the schema %d: schemas count from 1", s.ID)
	}
	fields := got.Fields()
	known, err := checkHidden(fields)
	if err != nil {
		return nil, err
	}
	ids, names := map[int32]bool{}, map[string]bool{}
	for _, f := range fields[known:] {
		if err := checkUserField(f); err != nil {
			return nil, err
		}
		id, _ := segment.FieldID(f)
		name := strings.ToLower(f.Name)
		if ids[id] || names[name] {
			return nil, malformed("the column %q or its id %d occurs twice in hot rows", f.Name, id)
		}
		ids[id], names[name] = true, true
	}
	return arrow.NewSchema(fields, nil), nil
}

// checkHidden checks the columns that begin with underscores, which stand first and in their order, and counts them.
func checkHidden(fields []arrow.Field) (int, error) {
	n, has := 0, map[string]bool{}
	for _, hidden := range hiddenFields {
		if n < len(fields) && fields[n].Name == hidden.Name {
			if !fields[n].Equal(hidden) {
				return 0, malformed("the column %s of hot rows is %v, not %v", hidden.Name, fields[n], hidden)
			}
			n, has[hidden.Name] = n+1, true
		}
	}
	if !has[segment.TimeColumn] || !has[segment.OffsetColumn] || has[segment.IDHighColumn] != has[segment.IDLowColumn] {
		return 0, malformed("hot rows lack %s, %s or a half of the identity, or have them in another order", segment.TimeColumn, segment.OffsetColumn)
	}
	return n, nil
}

func checkUserField(f arrow.Field) error {
	id, ok := segment.FieldID(f)
	t, err := segment.ColumnTypeOf(f.Type)
	if err != nil || !slices.Contains(userTypes, t) || !ok || id < segment.FirstUserColumnID || !f.Nullable || f.Metadata.Len() != 1 ||
		f.Name == "" || strings.HasPrefix(f.Name, "__") {
		return malformed("hot rows cannot have the column %v", f)
	}
	return nil
}

// checkBatch holds what is said of a batch against its rows, whose offsets go on at from and end before to.
func checkBatch(b segment.HotBatch, from, to int64) error {
	v, err := newRowView(b.Record)
	if err != nil {
		return malformed("%v", err)
	}
	last := v.rows() - 1
	if b.FromOffset < from || b.ToOffset > to || v.offset(0) != b.FromOffset || v.offset(last)+1 != b.ToOffset {
		return malformed("a batch of the offsets [%d, %d) holds %d to %d, where [%d, %d) was due",
			b.FromOffset, b.ToOffset, v.offset(0), v.offset(last), from, to)
	}
	for row := range v.rows() {
		if row > 0 && v.offset(row) <= v.offset(row-1) {
			return malformed("the offset %d comes after %d", v.offset(row), v.offset(row-1))
		}
		if at := v.millis(row); at < b.MinMillis || at > b.MaxMillis {
			return malformed("the row at offset %d has the time %d, outside of its batch's [%d, %d]", v.offset(row), at, b.MinMillis, b.MaxMillis)
		}
	}
	return checkBuckets(b)
}

// checkBuckets: a batch may say nothing of its buckets; if it does, its rows are in them.
func checkBuckets(b segment.HotBatch) error {
	if len(b.Buckets) == 0 {
		return nil
	}
	var rows int64
	for i, r := range b.Buckets {
		if r.Bucket.StartMillis >= r.Bucket.EndMillis || r.Rows < 1 || r.Rows > b.Record.NumRows() || r.Bytes < 0 ||
			i > 0 && r.Bucket.StartMillis < b.Buckets[i-1].Bucket.EndMillis {
			return malformed("the buckets %v of a batch are none, or not in order", b.Buckets)
		}
		rows += r.Rows
	}
	if rows != b.Record.NumRows() || b.MinMillis < b.Buckets[0].Bucket.StartMillis || b.MaxMillis >= b.Buckets[len(b.Buckets)-1].Bucket.EndMillis {
		return malformed("the buckets %v do not hold the %d rows of their batch", b.Buckets, b.Record.NumRows())
	}
	return nil
}
