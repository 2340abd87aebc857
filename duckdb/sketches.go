package duckdb

/*
#include <stdlib.h>
#include "sketch.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime/cgo"
	"sync/atomic"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// Sketch summarises the values of one group. It is used by one thread at a time.
type Sketch interface {
	// Add adds values by what C makes of them: the hash that stored sketches of distinct values hold, or the bits of a double.
	Add(words []uint64)
	// Merge adds a stored sketch. An error changes nothing.
	Merge(state []byte) error
	// MergeFrom adds another sketch of the same kind, which stays as it was.
	MergeFrom(other Sketch) error
	// AppendState appends the stored form, which an empty sketch does not have: it appends nothing.
	AppendState(dst []byte) ([]byte, error)
	// Bytes is what the sketch takes in memory, about.
	Bytes() int64
}

// SketchKind makes sketches and reads values out of them. Fraction is that of a quantile; ok is false where there is no value.
type SketchKind struct {
	New   func() Sketch
	Value func(s Sketch, fraction float64) (value float64, ok bool, err error)
	// Of reads a stored sketch; nil stands for an empty one.
	Of func(state []byte, fraction float64) (value float64, ok bool, err error)
}

// Sketches are what the functions under Druid's names work with: APPROX_COUNT_DISTINCT_DS_HLL, APPROX_QUANTILE_DS, DS_HLL,
// DS_QUANTILES_SKETCH, HLL_SKETCH_ESTIMATE and DS_GET_QUANTILE. The aggregates among them must not be given an ORDER BY or a
// window: DuckDB's C interface hands over one state where there should be one for each row, and the process crashes.
type Sketches struct {
	Distinct  SketchKind
	Quantiles SketchKind
}

// defaultSketchBytes is the limit of a database that has none for its memory either.
const defaultSketchBytes = 1 << 30

// sketchBook holds what the sketches of one database share. DuckDB's functions point at it until the database is closed.
type sketchBook struct {
	shared *C.dr_sketches
	handle cgo.Handle // of the kinds
}

func newSketchBook(s *Sketches, maxBytes int64) *sketchBook {
	b := &sketchBook{handle: cgo.NewHandle([]SketchKind{C.DR_DISTINCT: s.Distinct, C.DR_QUANTILES: s.Quantiles})}
	b.shared = (*C.dr_sketches)(C.calloc(1, C.sizeof_dr_sketches))
	b.shared.kinds, b.shared.limit = C.uintptr_t(b.handle), C.int64_t(maxBytes)
	return b
}

func (b *sketchBook) register(conn bindings.Connection) error {
	if C.dr_register_sketches(conn.Ptr, b.shared) != 0 {
		return errors.New("register sketch functions")
	}
	return nil
}

// close gives everything back, once the database is closed.
func (b *sketchBook) close() error {
	used := b.shared.used
	C.free(unsafe.Pointer(b.shared))
	b.handle.Delete()
	if used != 0 {
		return fmt.Errorf("close duckdb: sketches of %d bytes have not been given back", int64(used))
	}
	return nil
}

// sketchLimit is what all sketches of the database may take together.
func (o Options) sketchLimit() int64 {
	switch {
	case o.MaxSketchBytes > 0:
		return o.MaxSketchBytes
	case o.MemoryLimitBytes > 0:
		return o.MemoryLimitBytes / 2
	}
	return defaultSketchBytes
}

func kindOfSketch(shared *C.dr_sketches, kind C.int) *SketchKind {
	return &cgo.Handle(shared.kinds).Value().([]SketchKind)[kind]
}

// sketchOf gives the state's sketch, which it makes where there is none, with all values that the state has gathered.
func sketchOf(state *C.dr_sketch, kind *SketchKind) Sketch {
	var s Sketch
	if state.sketch != 0 {
		s = cgo.Handle(state.sketch).Value().(Sketch)
	} else {
		s = kind.New()
		state.sketch = C.uintptr_t(cgo.NewHandle(s))
	}
	addWords(s, state)
	state.count = 0
	return s
}

func addWords(s Sketch, state *C.dr_sketch) {
	if state.count > 0 {
		s.Add(unsafe.Slice((*uint64)(unsafe.Pointer(state.words)), int(state.count)))
	}
}

// charge brings what the sketch is charged for up to date.
func charge(state *C.dr_sketch, s Sketch) {
	now := C.int64_t(s.Bytes())
	atomic.AddInt64((*int64)(unsafe.Pointer(&state.shared.used)), int64(now-state.sketch_bytes))
	state.sketch_bytes = now
}

// drumlinSketchAdd gives the sketch the values that its state has gathered.
//
//export drumlinSketchAdd
func drumlinSketchAdd(state *C.dr_sketch, kind C.int) {
	charge(state, sketchOf(state, kindOfSketch(state.shared, kind)))
}

// drumlinSketchMerge adds stored sketches to the states beside them. A text is an error.
//
//export drumlinSketchMerge
func drumlinSketchMerge(shared *C.dr_sketches, kind C.int, items *C.dr_sketch_item, count C.int64_t) *C.char {
	k := kindOfSketch(shared, kind)
	list := unsafe.Slice(items, int(count))
	for i := range list {
		s := sketchOf(list[i].state, k)
		err := s.Merge(storedBytes(&list[i]))
		charge(list[i].state, s)
		if err != nil {
			return sketchError(err)
		}
	}
	return nil
}

// drumlinSketchCombine adds the source's sketch to the target, which keeps no memory of it.
//
//export drumlinSketchCombine
func drumlinSketchCombine(target, source *C.dr_sketch, kind C.int) *C.char {
	s := sketchOf(target, kindOfSketch(target.shared, kind))
	err := s.MergeFrom(cgo.Handle(source.sketch).Value().(Sketch))
	charge(target, s)
	if err != nil {
		return sketchError(err)
	}
	return nil
}

// drumlinSketchFinish gives the values, or the stored forms, of states.
//
//export drumlinSketchFinish
func drumlinSketchFinish(shared *C.dr_sketches, kind C.int, stored C.bool, items *C.dr_sketch_item, count C.int64_t) *C.char {
	k := kindOfSketch(shared, kind)
	list := unsafe.Slice(items, int(count))
	var buf []byte
	for i := range list {
		if err := finish(&list[i], k, bool(stored), &buf); err != nil {
			return sketchError(err)
		}
	}
	return nil
}

// finish leaves the state good for more: windows ask for values in between.
func finish(item *C.dr_sketch_item, kind *SketchKind, stored bool, buf *[]byte) error {
	s := kind.New()
	if item.state.sketch != 0 {
		s = sketchOf(item.state, kind)
		charge(item.state, s)
	} else {
		addWords(s, item.state)
	}
	if !stored {
		value, ok, err := kind.Value(s, float64(item.state.fraction))
		item.value, item.valid = C.double(value), C.bool(ok)
		return err
	}
	var err error
	if *buf, err = s.AppendState((*buf)[:0]); err != nil {
		return err
	}
	if len(*buf) > 0 {
		item.bytes, item.length, item.valid = (*C.char)(C.CBytes(*buf)), C.int64_t(len(*buf)), true
	}
	return nil
}

// drumlinSketchRead gives the values of stored sketches.
//
//export drumlinSketchRead
func drumlinSketchRead(shared *C.dr_sketches, kind C.int, items *C.dr_sketch_item, count C.int64_t) *C.char {
	k := kindOfSketch(shared, kind)
	list := unsafe.Slice(items, int(count))
	for i := range list {
		value, ok, err := k.Of(storedBytes(&list[i]), float64(list[i].fraction))
		if err != nil {
			return sketchError(err)
		}
		list[i].value, list[i].valid = C.double(value), C.bool(ok)
	}
	return nil
}

// drumlinSketchFree lets a sketch go.
//
//export drumlinSketchFree
func drumlinSketchFree(sketch C.uintptr_t) { cgo.Handle(sketch).Delete() }

// storedBytes is DuckDB's memory, good until the callback returns; nil for null.
func storedBytes(item *C.dr_sketch_item) []byte {
	if item.length < 0 {
		return nil
	}
	if item.length == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(item.bytes)), int(item.length))
}

// sketchError is freed by C.
func sketchError(err error) *C.char { return C.CString(sketchErrorPrefix + err.Error()) }

const (
	// sketchErrorPrefix begins the messages about values that are no sketches, or no fractions.
	sketchErrorPrefix = "sketch: "
	// sketchMemoryError is what C says where the limit is passed.
	sketchMemoryError = "sketches need more memory than they may use"
)
