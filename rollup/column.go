package rollup

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// builder is what the builders of plain columns share.
type builder[T any] interface {
	Append(v T)
	AppendNull()
	Reserve(n int)
	NewArray() arrow.Array
	Release()
}

// appendIf appends a value, or a null where there is none.
func appendIf[T any](b builder[T], v T, ok bool) {
	if ok {
		b.Append(v)
	} else {
		b.AppendNull()
	}
}

// fill builds a column of the groups in order, and releases the builder.
func fill[T any](b builder[T], order []uint32, seen []bool, value func(g uint32) T) arrow.Array {
	return fillWhere(b, order, func(g uint32) bool { return seen[g] }, value)
}

// fillWhere is fill for groups that do not keep what they have seen in a list.
func fillWhere[T any](b builder[T], order []uint32, seen func(g uint32) bool, value func(g uint32) T) arrow.Array {
	defer b.Release()
	b.Reserve(len(order))
	for _, g := range order {
		appendIf(b, value(g), seen(g))
	}
	return b.NewArray()
}

// grown returns s with n elements; new ones are zero.
func grown[T any](s []T, n int) []T {
	if n <= len(s) {
		return s
	}
	return append(s, make([]T, n-len(s))...)
}

// record makes a record that owns the columns.
func record(fields []arrow.Field, columns []arrow.Array, rows int) arrow.RecordBatch {
	rec := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(rows))
	for _, c := range columns {
		c.Release()
	}
	return rec
}
