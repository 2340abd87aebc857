package duckdb

import (
	"fmt"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// ResultColumn is a column of a result.
type ResultColumn struct {
	Name string
	Type *Type
}

// Result is the whole answer to a statement, read chunk by chunk. It holds copies: neither scans nor files are needed
// any more. It is not safe for concurrent use, and is closed at the latest by its session's Close.
type Result struct {
	session *Session
	res     bindings.Result
	columns []ResultColumn
	vectors []vector // of the current chunk
	chunk   bindings.DataChunk
	rows    int
	closed  bool

	chunks  []bindings.DataChunk // not yet read
	filling int                  // the chunk that small ones are copied into
	held    int64                // bytes taken from the database's budget
}

func (r *Result) readColumns() error {
	n := int(bindings.ColumnCount(&r.res))
	r.columns, r.vectors = make([]ResultColumn, n), make([]vector, n)
	for i := range r.columns {
		logical := bindings.ColumnLogicalType(&r.res, bindings.IdxT(i))
		t := newType(logical)
		bindings.DestroyLogicalType(&logical)
		name := bindings.ColumnName(&r.res, bindings.IdxT(i))
		if !t.supported() {
			return &SQLError{
				Kind: KindUnsupported, Position: -1,
				Message: fmt.Sprintf("column %q has a type that answers cannot carry; cast it, for example to VARCHAR", name),
			}
		}
		r.columns[i] = ResultColumn{Name: name, Type: t}
		r.vectors[i] = newVector(t)
	}
	return nil
}

// Columns returns the result's columns. The caller does not change them.
func (r *Result) Columns() []ResultColumn { return r.columns }

// Next moves to the next chunk and reports whether there is one. What AppendJSON and the getters returned for the chunk
// before stays valid, bytes that alias it do not.
func (r *Result) Next() bool {
	r.dropChunk()
	if r.closed {
		return false
	}
	if len(r.chunks) == 0 {
		return false
	}
	r.chunk, r.chunks = r.chunks[0], r.chunks[1:]
	r.rows = int(bindings.DataChunkGetSize(r.chunk))
	for i := range r.vectors {
		r.vectors[i].load(bindings.DataChunkGetVector(r.chunk, bindings.IdxT(i)))
	}
	return true
}

// Rows is the number of rows of the current chunk; rows are counted from 0 in each.
func (r *Result) Rows() int { return r.rows }

// Close gives back the result's memory. It may be called more than once.
func (r *Result) Close() {
	r.session.mu.Lock()
	defer r.session.mu.Unlock()
	r.destroy()
	delete(r.session.results, r)
}

// destroy needs the session's lock.
func (r *Result) destroy() {
	if r.closed {
		return
	}
	r.closed = true
	r.dropChunk()
	r.giveBack()
	bindings.DestroyResult(&r.res)
}

func (r *Result) dropChunk() {
	r.rows = 0
	if r.chunk.Ptr != nil {
		bindings.DestroyDataChunk(&r.chunk)
	}
}

// IsNull reports whether the value is null.
func (r *Result) IsNull(row, col int) bool { return !r.vectors[col].valid(row) }

// Int64 returns the value of a column of a signed or unsigned integer type of up to 64 bits, and of the timestamp types,
// in their own unit. ok is false for null, for other types, and where the value does not fit.
func (r *Result) Int64(row, col int) (v int64, ok bool) {
	vec := &r.vectors[col]
	if !vec.valid(row) {
		return 0, false
	}
	switch vec.typ.ID {
	case UTinyInt, USmallInt, UInteger, UBigInt:
		u := vec.unsigned(row)
		return int64(u), u <= 1<<63-1
	case TinyInt, SmallInt, Integer, BigInt, Timestamp, TimestampS, TimestampMS, TimestampNS, TimestampTZ, Date:
		return vec.signed(row), true
	case HugeInt:
		h := at[hugeInt](vec, row)
		return int64(h.lower), h.upper == int64(h.lower)>>63
	}
	return 0, false
}

// Float64 returns the value of a FLOAT or DOUBLE column. ok is false for null and for other types.
func (r *Result) Float64(row, col int) (v float64, ok bool) {
	vec := &r.vectors[col]
	switch {
	case !vec.valid(row):
		return 0, false
	case vec.typ.ID == Double:
		return at[float64](vec, row), true
	case vec.typ.ID == Float:
		return float64(at[float32](vec, row)), true
	}
	return 0, false
}

// Bytes returns the bytes of a VARCHAR or BLOB value. They alias the chunk and are valid until the next Next or Close.
// ok is false for null and for other types.
func (r *Result) Bytes(row, col int) (b []byte, ok bool) {
	vec := &r.vectors[col]
	if (vec.typ.ID != Varchar && vec.typ.ID != Blob) || !vec.valid(row) {
		return nil, false
	}
	return vec.bytes(row), true
}

// vector is a column of the current chunk, or a nested column of one.
type vector struct {
	typ      *Type
	data     unsafe.Pointer
	validity unsafe.Pointer // uint64 words, 1 valid; nil: no nulls
	children []vector       // List, Array: the elements; Struct, Union: the members; Map: the keys and the values
}

// The fixed-width values that Go has no type for.
type (
	hugeInt struct {
		lower uint64
		upper int64
	}
	listEntry struct{ offset, length uint64 }
	interval  struct {
		months, days int32
		micros       int64
	}
)

func newVector(t *Type) vector {
	v := vector{typ: t}
	if t.Child != nil {
		v.children = []vector{newVector(t.Child)}
	}
	for _, f := range t.Fields {
		v.children = append(v.children, newVector(f.Type))
	}
	return v
}

// load points the vector at a chunk's memory.
func (v *vector) load(vec bindings.Vector) {
	v.data, v.validity = bindings.VectorGetData(vec), bindings.VectorGetValidity(vec)
	switch v.typ.ID {
	case List:
		v.children[0].load(bindings.ListVectorGetChild(vec))
	case Array:
		v.children[0].load(bindings.ArrayVectorGetChild(vec))
	case Map:
		entries := bindings.ListVectorGetChild(vec)
		v.children[0].load(bindings.StructVectorGetChild(entries, 0))
		v.children[1].load(bindings.StructVectorGetChild(entries, 1))
	case Struct:
		for i := range v.children {
			v.children[i].load(bindings.StructVectorGetChild(vec, bindings.IdxT(i)))
		}
	case Union: // the first child says which member holds the value
		v.data = bindings.VectorGetData(bindings.StructVectorGetChild(vec, 0))
		for i := range v.children {
			v.children[i].load(bindings.StructVectorGetChild(vec, bindings.IdxT(i+1)))
		}
	}
}

func (v *vector) valid(row int) bool {
	if v.typ.ID == Null {
		return false
	}
	if v.validity == nil {
		return true
	}
	word := *(*uint64)(unsafe.Add(v.validity, row/64*8))
	return word>>(row%64)&1 == 1
}

// at reads a value of fixed width.
func at[T any](v *vector, row int) T {
	var zero T
	return *(*T)(unsafe.Add(v.data, row*int(unsafe.Sizeof(zero))))
}

// bytes returns a string's bytes in place.
func (v *vector) bytes(row int) []byte {
	header := unsafe.Add(v.data, row*16)
	n := *(*uint32)(header)
	if n <= inlined {
		return unsafe.Slice((*byte)(unsafe.Add(header, 4)), n)
	}
	return unsafe.Slice(*(**byte)(unsafe.Add(header, 8)), n)
}

func (v *vector) signed(row int) int64 {
	switch v.typ.ID {
	case TinyInt:
		return int64(at[int8](v, row))
	case SmallInt:
		return int64(at[int16](v, row))
	case Integer, Date:
		return int64(at[int32](v, row))
	}
	return at[int64](v, row)
}

func (v *vector) unsigned(row int) uint64 {
	switch v.typ.ID {
	case UTinyInt:
		return uint64(at[uint8](v, row))
	case USmallInt:
		return uint64(at[uint16](v, row))
	case UInteger:
		return uint64(at[uint32](v, row))
	}
	return at[uint64](v, row)
}
