package peer

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/segment"
)

// hiddenFields are all the hidden columns that hot rows can have, in their order.
var hiddenFields = segment.HotArrowSchema(&segment.Schema{ID: 1, Dedup: true}).Fields()

// userTypes are the types that a user's column can have.
var userTypes = []segment.ColumnType{segment.TypeString, segment.TypeLong, segment.TypeDouble, segment.TypeFloat}

// schemaOf describes the layout of batches to a receiver.
func schemaOf(id int32, rejects bool, layout *arrow.Schema) (schemaFrame, error) {
	out := schemaFrame{ID: id, Rejects: rejects}
	for _, f := range layout.Fields() {
		t, err := segment.ColumnTypeOf(f.Type)
		column, ok := segment.FieldID(f)
		if err != nil || !ok {
			return out, fmt.Errorf("hot rows of schema %d have the column %v, which has no place in them", id, f)
		}
		out.Columns = append(out.Columns, segment.Column{ID: column, Name: f.Name, Type: t})
	}
	return out, nil
}

// layout returns the layout that batches of this schema have, or why there can be none.
func (s schemaFrame) layout() (*arrow.Schema, error) {
	if s.Rejects {
		want := segment.HotRejectsArrowSchema()
		if known, err := schemaOf(segment.RejectsSchemaID, true, want); err != nil || !s.equal(known) {
			return nil, malformed("rejects have the schema %d with the columns %v, not those of rejects", s.ID, s.Columns)
		}
		return want, nil
	}
	if s.ID < 1 {
		return nil, malformed("hot rows have the schema %d: schemas count from 1", s.ID)
	}
	fields, err := s.hidden()
	if err != nil {
		return nil, err
	}
	ids, names := map[int32]bool{}, map[string]bool{}
	for _, c := range s.Columns[len(fields):] {
		f, err := userField(c)
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(c.Name)
		if ids[c.ID] || names[name] {
			return nil, malformed("the column %q or its id %d occurs twice in hot rows", c.Name, c.ID)
		}
		ids[c.ID], names[name] = true, true
		fields = append(fields, f)
	}
	return arrow.NewSchema(fields, nil), nil
}

// hidden returns the columns that begin with underscores, which stand first and in their order.
func (s schemaFrame) hidden() ([]arrow.Field, error) {
	var out []arrow.Field
	has := map[string]bool{}
	for _, hidden := range hiddenFields {
		n := len(out)
		if n == len(s.Columns) || s.Columns[n].Name != hidden.Name {
			continue
		}
		id, _ := segment.FieldID(hidden)
		t, err := segment.ColumnTypeOf(hidden.Type)
		if err != nil || s.Columns[n] != (segment.Column{ID: id, Name: hidden.Name, Type: t}) {
			return nil, malformed("the column %s of hot rows has the id %d and the type %q", hidden.Name, s.Columns[n].ID, s.Columns[n].Type)
		}
		out, has[hidden.Name] = append(out, hidden), true
	}
	if !has[segment.TimeColumn] || !has[segment.OffsetColumn] || has[segment.IDHighColumn] != has[segment.IDLowColumn] {
		return nil, malformed("hot rows lack %s, %s or a half of the identity, or have them in another order", segment.TimeColumn, segment.OffsetColumn)
	}
	return out, nil
}

func userField(c segment.Column) (arrow.Field, error) {
	t, err := segment.ArrowType(c.Type)
	if err != nil || !slices.Contains(userTypes, c.Type) || c.ID < segment.FirstUserColumnID || c.Name == "" || strings.HasPrefix(c.Name, "__") {
		return arrow.Field{}, malformed("hot rows cannot have the column %q with the id %d and the type %q", c.Name, c.ID, c.Type)
	}
	id := arrow.NewMetadata([]string{segment.FieldIDKey}, []string{strconv.Itoa(int(c.ID))})
	return arrow.Field{Name: c.Name, Type: t, Nullable: true, Metadata: id}, nil
}

func (s schemaFrame) equal(o schemaFrame) bool {
	return s.ID == o.ID && s.Rejects == o.Rejects && slices.Equal(s.Columns, o.Columns)
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
	return checkBuckets(b, v)
}

// checkBuckets: a batch may say nothing of its buckets; if it does, its rows are in them.
func checkBuckets(b segment.HotBatch, v rowView) error {
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
	return checkCounts(b, v)
}

// checkCounts counts the rows of each bucket: a query searches for copies in the buckets that are said to have hot rows.
func checkCounts(b segment.HotBatch, v rowView) error {
	if len(b.Buckets) == 1 {
		return nil // the bounds of the times have told
	}
	counts := make([]int64, len(b.Buckets))
	for row := range v.rows() {
		at := v.millis(row)
		i := sort.Search(len(b.Buckets), func(i int) bool { return b.Buckets[i].Bucket.EndMillis > at })
		if i == len(b.Buckets) || at < b.Buckets[i].Bucket.StartMillis {
			return malformed("the row at offset %d has the time %d, which lies in none of the buckets of its batch", v.offset(row), at)
		}
		counts[i]++
	}
	for i, n := range counts {
		if n != b.Buckets[i].Rows {
			return malformed("%d rows of a batch are in the bucket %v, which is said to have %d", n, b.Buckets[i].Bucket, b.Buckets[i].Rows)
		}
	}
	return nil
}
