package compaction

import (
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// meter accounts the memory of one job: what it allocates through it, and what it says that it holds.
type meter struct {
	inner memory.Allocator
	used  atomic.Int64
	peak  atomic.Int64
}

var _ memory.Allocator = (*meter)(nil)

func (m *meter) hold(bytes int64) {
	used := m.used.Add(bytes)
	for {
		peak := m.peak.Load()
		if used <= peak || m.peak.CompareAndSwap(peak, used) {
			return
		}
	}
}

func (m *meter) letGo(bytes int64) { m.used.Add(-bytes) }

func (m *meter) Allocate(size int) []byte {
	m.hold(int64(size))
	return m.inner.Allocate(size)
}

func (m *meter) Reallocate(size int, b []byte) []byte {
	m.hold(int64(size - len(b)))
	return m.inner.Reallocate(size, b)
}

func (m *meter) Free(b []byte) {
	m.letGo(int64(len(b)))
	m.inner.Free(b)
}

// heldBatch is a batch whose bytes are accounted until it is released. Bytes is 0 where the meter has allocated it.
type heldBatch struct {
	rec   arrow.RecordBatch
	bytes int64
}

// bufferBytes is the memory that a batch keeps.
func bufferBytes(rec arrow.RecordBatch) int64 {
	var sum int64
	for _, c := range rec.Columns() {
		for _, b := range c.Data().Buffers() {
			if b != nil {
				sum += int64(b.Cap())
			}
		}
	}
	return sum
}
