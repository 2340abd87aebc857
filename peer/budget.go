package peer

import (
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// budget bounds and counts the memory of received rows that queries still hold.
type budget struct {
	inner    memory.Allocator
	maxBytes int64 // 0: no bound
	used     atomic.Int64
}

var _ memory.Allocator = (*budget)(nil)

// admit says whether this many bytes more may be held. Calls at the same time may together pass it by a batch each.
func (b *budget) admit(bytes int64) error {
	if used := b.used.Load(); b.maxBytes > 0 && used+bytes > b.maxBytes {
		return fmt.Errorf("%w: %d bytes are held, %d more have come, %d are the limit; ask for less at once, or raise it",
			ErrHotBudget, used, bytes, b.maxBytes)
	}
	return nil
}

func (b *budget) Allocate(size int) []byte {
	b.used.Add(int64(size))
	return b.inner.Allocate(size)
}

func (b *budget) Reallocate(size int, old []byte) []byte {
	b.used.Add(int64(size - len(old)))
	return b.inner.Reallocate(size, old)
}

func (b *budget) Free(old []byte) {
	b.used.Add(-int64(len(old)))
	b.inner.Free(old)
}
