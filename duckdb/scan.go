package duckdb

/*
#include <stdlib.h>
#include "scan.h"
*/
import "C"

import (
	"fmt"
	"math"
	"runtime"
	"runtime/cgo"
	"sync"
	"unicode/utf8"
	"unsafe"

	"drumlin/segment"

	"github.com/apache/arrow-go/v18/arrow"
)

// Scan is a table made of Arrow batches, read in place.
type Scan struct {
	Columns []ScanColumn
	Parts   []ScanPart
}

// ScanColumn is one column of a scan. The column named segment.TimeColumn, of type TypeTime, is the one that the
// function's from_micros and to_micros mean.
type ScanColumn struct {
	Name string
	Type segment.ColumnType
}

// ScanPart is a set of batches that share one layout.
type ScanPart struct {
	Records []arrow.RecordBatch
	// Columns gives, for each scan column, the index of its column in the records; −1: the constant of the same place.
	Columns []int
	// Constants gives, for each scan column, its value where Columns says −1: nil (null), string, int32, int64 or
	// float64, as the column's type asks. It may be nil where Columns never says −1.
	Constants []any
	// Bounds holds, for each record, bounds of its times, so that whole records are left out by time. It may be nil.
	Bounds []TimeBounds
}

// TimeBounds are inclusive bounds of __time, in microseconds. They may be wider than the data, never narrower.
type TimeBounds struct{ MinMicros, MaxMicros int64 }

// AddScan registers a scan for the session and returns the token by which SQL names it:
//
//	SELECT … FROM drumlin_scan(token [, from_micros := a] [, to_micros := b])
//
// with only the rows whose time is in [a, b). The session keeps a reference of its own to every record until it is closed.
func (s *Session) AddScan(scan Scan) (token int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	e, err := newScanEntry(scan, s.id)
	if err != nil {
		return 0, fmt.Errorf("add a scan: %w", err)
	}
	for _, p := range scan.Parts {
		for _, r := range p.Records {
			s.retain(r)
		}
		e.records = append(e.records, p.Records...)
	}
	token = s.db.registry.add(e)
	s.tokens = append(s.tokens, token)
	return token, nil
}

// registry holds the scans of all sessions by token.
type registry struct {
	mu    sync.Mutex
	last  int64
	scans map[int64]*scanEntry
	alive int // entries not yet freed, also those that only a running statement still holds
}

// scanEntry is one scan: the description that C reads, and what keeps it valid. The session holds one reference, every
// statement that has bound it another.
type scanEntry struct {
	registry   *registry
	connection uint64
	c          *C.dr_scan
	handle     cgo.Handle
	refs       int // guarded by registry.mu
	records    []arrow.RecordBatch
	pinner     runtime.Pinner
	memory     []unsafe.Pointer // C memory, freed with the entry
}

func newRegistry() *registry { return &registry{scans: map[int64]*scanEntry{}} }

func (g *registry) add(e *scanEntry) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	e.registry, e.refs = g, 1
	e.handle = cgo.NewHandle(e)
	e.c.owner = C.uintptr_t(e.handle)
	g.last++
	g.alive++
	g.scans[g.last] = e
	return g.last
}

func (g *registry) acquire(token int64, connection uint64) *scanEntry {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.scans[token]
	if e == nil || e.connection != connection {
		return nil
	}
	e.refs++
	return e
}

func (g *registry) remove(token int64) {
	g.mu.Lock()
	e := g.scans[token]
	delete(g.scans, token)
	g.mu.Unlock()
	if e != nil {
		e.release()
	}
}

// empty reports scans that something still holds: a statement that was never destroyed.
func (g *registry) empty() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.alive != 0 {
		return fmt.Errorf("close duckdb: %d scans are still held by statements", g.alive)
	}
	return nil
}

func (e *scanEntry) release() {
	e.registry.mu.Lock()
	e.refs--
	last := e.refs == 0
	if last {
		e.registry.alive--
	}
	e.registry.mu.Unlock()
	if !last {
		return
	}
	e.handle.Delete()
	for _, r := range e.records {
		r.Release()
	}
	e.free()
}

// free gives back the description, not the records.
func (e *scanEntry) free() {
	e.pinner.Unpin()
	for _, p := range e.memory {
		C.free(p)
	}
	e.memory, e.records, e.c = nil, nil, nil
}

// newScanEntry describes the scan for C. On an error nothing is held.
func newScanEntry(scan Scan, connection uint64) (*scanEntry, error) {
	e := &scanEntry{connection: connection}
	if err := e.describe(scan); err != nil {
		e.free()
		return nil, err
	}
	return e, nil
}

func (e *scanEntry) describe(scan Scan) error {
	if len(scan.Columns) == 0 {
		return fmt.Errorf("it has no columns")
	}
	e.c = (*C.dr_scan)(e.alloc(1, C.sizeof_dr_scan))
	e.c.column_count = C.int32_t(len(scan.Columns))
	e.c.time_column = -1
	e.c.columns = (*C.dr_column)(e.alloc(len(scan.Columns), C.sizeof_dr_column))
	columns := unsafe.Slice(e.c.columns, len(scan.Columns))
	for i, col := range scan.Columns {
		layout, ok := layouts[col.Type]
		if !ok {
			return fmt.Errorf("column %q has the unknown type %q", col.Name, col.Type)
		}
		columns[i]._type = C.int32_t(layout.code)
		columns[i].name = (*C.char)(e.text(col.Name + "\x00"))
		if col.Name == segment.TimeColumn && col.Type == segment.TypeTime {
			e.c.time_column = C.int32_t(i)
		}
	}
	batches := 0
	for _, p := range scan.Parts {
		batches += len(p.Records)
	}
	e.c.batches = (*C.dr_batch)(e.alloc(batches, C.sizeof_dr_batch))
	vectors := unsafe.Slice((*C.dr_vector)(e.alloc(batches*len(scan.Columns), C.sizeof_dr_vector)), batches*len(scan.Columns))
	out := unsafe.Slice(e.c.batches, batches)
	for i, p := range scan.Parts {
		n, err := e.describePart(scan.Columns, p, out, vectors)
		if err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		out, vectors = out[n:], vectors[n*len(scan.Columns):]
		e.c.batch_count += C.int64_t(n)
	}
	return nil
}

// describePart fills one batch per record that has rows, and returns their number.
func (e *scanEntry) describePart(columns []ScanColumn, p ScanPart, out []C.dr_batch, vectors []C.dr_vector) (int, error) {
	if len(p.Columns) != len(columns) {
		return 0, fmt.Errorf("it maps %d columns, the scan has %d", len(p.Columns), len(columns))
	}
	if p.Bounds != nil && len(p.Bounds) != len(p.Records) {
		return 0, fmt.Errorf("it has bounds for %d records of %d", len(p.Bounds), len(p.Records))
	}
	constants, err := e.constants(columns, p)
	if err != nil {
		return 0, err
	}
	n := 0
	for i, r := range p.Records {
		rows := r.NumRows()
		if rows == 0 {
			continue
		}
		b := &out[n]
		b.rows, b.min_micros, b.max_micros = C.int64_t(rows), 1, 0
		if p.Bounds != nil {
			b.min_micros, b.max_micros = C.int64_t(p.Bounds[i].MinMicros), C.int64_t(p.Bounds[i].MaxMicros)
		}
		vs := vectors[n*len(columns) : (n+1)*len(columns)]
		b.vectors = &vs[0]
		for c, col := range columns {
			if p.Columns[c] < 0 {
				vs[c] = constants[c]
			} else if err := e.describeVector(&vs[c], col, r, p.Columns[c]); err != nil {
				return 0, fmt.Errorf("record %d: %w", i, err)
			}
		}
		e.c.rows += C.int64_t(rows)
		n++
	}
	return n, nil
}

// constants makes the vectors of the columns that the part's records do not hold; the others stay zero.
func (e *scanEntry) constants(columns []ScanColumn, p ScanPart) ([]C.dr_vector, error) {
	out := make([]C.dr_vector, len(columns))
	for c, col := range columns {
		if p.Columns[c] >= 0 {
			continue
		}
		var value any
		if p.Constants != nil {
			if len(p.Constants) != len(columns) {
				return nil, fmt.Errorf("it has %d constants, the scan has %d columns", len(p.Constants), len(columns))
			}
			value = p.Constants[c]
		}
		if err := e.constant(&out[c], col, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *scanEntry) constant(v *C.dr_vector, col ScanColumn, value any) error {
	v.form = C.DR_CONSTANT
	code := layouts[col.Type].code
	bits := (*[8]byte)(unsafe.Pointer(&v.constant))
	switch x := value.(type) {
	case nil:
		v.form = C.DR_NULL
		return nil
	case string:
		if code == C.DR_VARCHAR {
			if !utf8.ValidString(x) || len(x) > math.MaxInt32 {
				return fmt.Errorf("the constant of column %q is not valid UTF-8 or too long", col.Name)
			}
			v.constant_bytes = C.int32_t(len(x))
			v.values = (*C.uint8_t)(e.text(x))
			return nil
		}
	case int32:
		if code == C.DR_INTEGER {
			*(*int32)(unsafe.Pointer(bits)) = x
			return nil
		}
		if code == C.DR_BIGINT {
			*(*int64)(unsafe.Pointer(bits)) = int64(x)
			return nil
		}
	case int64:
		if code == C.DR_BIGINT || code == C.DR_TIMESTAMP {
			*(*int64)(unsafe.Pointer(bits)) = x
			return nil
		}
	case float64:
		if code == C.DR_DOUBLE {
			*(*float64)(unsafe.Pointer(bits)) = x
			return nil
		}
	}
	return fmt.Errorf("a constant of type %T does not fit column %q of type %s", value, col.Name, col.Type)
}

// alloc returns zeroed C memory that lives as long as the entry.
func (e *scanEntry) alloc(n int, size C.size_t) unsafe.Pointer {
	p := C.calloc(C.size_t(max(n, 1)), size) // cgo's calloc never returns nil
	e.memory = append(e.memory, p)
	return p
}

// text returns a copy of s in C memory.
func (e *scanEntry) text(s string) unsafe.Pointer {
	p := e.alloc(len(s), 1)
	copy(unsafe.Slice((*byte)(p), max(len(s), 1)), s)
	return p
}
