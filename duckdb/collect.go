package duckdb

import (
	"errors"
	"fmt"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// A result that DuckDB gathers itself lies outside its memory limit. So results are streamed and gathered here, within a
// budget that all sessions of a database share.

const (
	vectorRows = 2048
	// mergeBelow is the size under which chunks are copied together: a chunk takes the memory of vectorRows rows.
	mergeBelow = vectorRows / 2
	// valueBytes stands for one value of any type; what lies beside it, as long texts do, is counted apart.
	valueBytes = 16
	inlined    = 12 // bytes of a text that lie in the value itself
)

// collect reads a streamed result to its end.
func (r *Result) collect() error {
	for {
		chunk := bindings.FetchChunk(r.res)
		if chunk.Ptr == nil {
			return r.streamError()
		}
		if err := r.keep(chunk); err != nil {
			return err
		}
	}
}

// streamError is what ended the stream, if it was not its end.
func (r *Result) streamError() error {
	text := bindings.ResultError(&r.res)
	if text == "" {
		return nil
	}
	return newError(bindings.ResultErrorType(&r.res), text)
}

// keep takes the chunk over.
func (r *Result) keep(chunk bindings.DataChunk) error {
	rows := int(bindings.DataChunkGetSize(chunk))
	if rows == 0 {
		bindings.DestroyDataChunk(&chunk)
		return nil
	}
	cost := int64(0)
	for i := range r.vectors {
		r.vectors[i].load(bindings.DataChunkGetVector(chunk, bindings.IdxT(i)))
		cost += r.vectors[i].cost(0, rows)
	}
	r.held += cost
	db := r.session.db
	if total := db.resultBytes.Add(cost); db.maxResultBytes > 0 && total > db.maxResultBytes {
		bindings.DestroyDataChunk(&chunk)
		return fmt.Errorf("%w: results take more than %d bytes", ErrOutOfMemory, db.maxResultBytes)
	}
	if rows >= mergeBelow {
		r.chunks = append(r.chunks, chunk)
		return nil
	}
	err := r.merge(chunk, rows)
	bindings.DestroyDataChunk(&chunk)
	return err
}

// merge copies a small chunk behind the rows of others. The order of rows stays: a chunk that was kept whole in between
// ends the one that is being filled.
func (r *Result) merge(chunk bindings.DataChunk, rows int) error {
	last := len(r.chunks) - 1
	filled := 0
	if last >= 0 && r.filling == last {
		filled = int(bindings.DataChunkGetSize(r.chunks[last]))
	}
	if last < 0 || r.filling != last || filled+rows > vectorRows {
		empty, err := r.emptyChunk()
		if err != nil {
			return err
		}
		r.chunks = append(r.chunks, empty)
		last, filled = len(r.chunks)-1, 0
		r.filling = last
	}
	target := r.chunks[last]
	sel := bindings.CreateSelectionVector(bindings.IdxT(rows))
	defer bindings.DestroySelectionVector(&sel)
	fillAscending(sel, rows)
	for i := range r.columns {
		at := bindings.IdxT(i)
		bindings.VectorCopySel(bindings.DataChunkGetVector(chunk, at), bindings.DataChunkGetVector(target, at), sel,
			bindings.IdxT(rows), 0, bindings.IdxT(filled))
	}
	bindings.DataChunkSetSize(target, bindings.IdxT(filled+rows))
	return nil
}

func (r *Result) emptyChunk() (bindings.DataChunk, error) {
	types := make([]bindings.LogicalType, len(r.columns))
	defer func() {
		for i := range types {
			bindings.DestroyLogicalType(&types[i])
		}
	}()
	for i := range types {
		types[i] = bindings.ColumnLogicalType(&r.res, bindings.IdxT(i))
	}
	chunk := bindings.CreateDataChunk(types)
	if chunk.Ptr == nil {
		return chunk, errors.New("DuckDB made no chunk of the result's types")
	}
	return chunk, nil
}

// giveBack frees the chunks that have not been read, and their part of the budget.
func (r *Result) giveBack() {
	for i := range r.chunks {
		bindings.DestroyDataChunk(&r.chunks[i])
	}
	r.chunks = nil
	r.session.db.resultBytes.Add(-r.held)
	r.held = 0
}

// cost estimates what n rows of a loaded vector take, from a row on.
func (v *vector) cost(from, n int) int64 {
	total := int64(n) * valueBytes
	switch v.typ.ID {
	case Varchar, Blob, Bit:
		for row := from; row < from+n; row++ {
			if v.valid(row) {
				if size := len(v.bytes(row)); size > inlined {
					total += int64(size)
				}
			}
		}
	case List, Map:
		for row := from; row < from+n; row++ {
			if v.valid(row) {
				e := at[listEntry](v, row)
				for i := range v.children {
					total += v.children[i].cost(int(e.offset), int(e.length))
				}
			}
		}
	case Array:
		total += v.children[0].cost(from*v.typ.Size, n*v.typ.Size)
	case Struct, Union:
		for i := range v.children {
			total += v.children[i].cost(from, n)
		}
	}
	return total
}

// fillAscending makes a selection of the rows as they stand.
func fillAscending(sel bindings.SelectionVector, rows int) {
	at := unsafe.Slice((*uint32)(unsafe.Pointer(bindings.SelectionVectorGetDataPtr(sel))), rows)
	for i := range at {
		at[i] = uint32(i)
	}
}
