package consumer

/*
#include <stdlib.h>
*/
import "C"

import (
	"sync/atomic"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// alignBytes is what Arrow recommends for its buffers, and the granule in which memory is counted.
const alignBytes = 64

// offHeap allocates Arrow buffers with the C allocator: the query engine holds pointers into hot batches for longer
// than a call, which memory that Go manages does not allow.
type offHeap struct{}

var _ memory.Allocator = offHeap{}

func roundUp(size int) int { return (size + alignBytes - 1) &^ (alignBytes - 1) }

// Allocate panics where the process is out of memory, as Go's own allocator does.
func (offHeap) Allocate(size int) []byte {
	if size == 0 {
		return []byte{}
	}
	var p unsafe.Pointer
	if rc := C.posix_memalign(&p, alignBytes, C.size_t(roundUp(size))); rc != 0 || p == nil {
		panic("consumer: out of memory for hot rows")
	}
	b := unsafe.Slice((*byte)(p), roundUp(size))
	clear(b)
	return b[:size:size]
}

func (a offHeap) Reallocate(size int, b []byte) []byte {
	if size == len(b) {
		return b
	}
	out := a.Allocate(size)
	copy(out, b)
	a.Free(b)
	return out
}

func (offHeap) Free(b []byte) {
	if len(b) == 0 {
		return
	}
	C.free(unsafe.Pointer(unsafe.SliceData(b)))
}

// meter counts the bytes that an allocator has handed out and not got back.
type meter struct {
	inner memory.Allocator
	used  atomic.Int64
}

var _ memory.Allocator = (*meter)(nil)

func (m *meter) Allocate(size int) []byte {
	m.used.Add(int64(roundUp(size)))
	return m.inner.Allocate(size)
}

func (m *meter) Reallocate(size int, b []byte) []byte {
	m.used.Add(int64(roundUp(size) - roundUp(len(b))))
	return m.inner.Reallocate(size, b)
}

func (m *meter) Free(b []byte) {
	m.used.Add(-int64(roundUp(len(b))))
	m.inner.Free(b)
}
