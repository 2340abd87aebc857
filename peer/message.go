package peer

import (
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// messageReader decodes the batches of one layout, a message at a time. What it decodes points into the message.
type messageReader struct {
	reader *ipc.Reader
	queue  *messageQueue
}

// readSchema begins with a message that holds a schema.
func readSchema(m *flight.FlightData) (out *messageReader, err error) {
	defer recovered(&err)
	queue := &messageQueue{}
	queue.put(m)
	defer queue.drop()
	reader, err := ipc.NewReaderFromMessageReader(queue, ipc.WithAllocator(noAllocator{}))
	if err != nil {
		return nil, malformed("a schema of hot rows: %v", err)
	}
	return &messageReader{reader: reader, queue: queue}, nil
}

func (r *messageReader) schema() *arrow.Schema { return r.reader.Schema() }

// batch decodes a message that holds a record batch; it is valid until the next call.
func (r *messageReader) batch(m *flight.FlightData) (out arrow.RecordBatch, err error) {
	defer recovered(&err)
	r.queue.put(m)
	defer r.queue.drop()
	if !r.reader.Next() {
		return nil, malformed("a batch of hot rows: %v", r.reader.Err())
	}
	return r.reader.RecordBatch(), nil
}

func (r *messageReader) release() { r.reader.Release() }

// recovered turns a panic of Arrow's decoder over bytes that make no sense into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = malformed("hot rows: %v", p)
	}
}

// messageQueue hands one message to Arrow's decoder. The bytes are Go's: nobody has to let go of them.
type messageQueue struct {
	next *ipc.Message
}

var _ ipc.MessageReader = (*messageQueue)(nil)

func (q *messageQueue) put(m *flight.FlightData) {
	q.next = ipc.NewMessage(memory.NewBufferBytes(m.GetDataHeader()), memory.NewBufferBytes(m.GetDataBody()))
}

func (q *messageQueue) drop() { q.next = nil }

func (q *messageQueue) Message() (*ipc.Message, error) {
	if q.next == nil {
		return nil, io.EOF
	}
	m := q.next
	q.next = nil
	return m, nil
}

func (q *messageQueue) Retain()  {}
func (q *messageQueue) Release() {}

// noAllocator refuses: decoding needs no memory unless it decompresses, and this protocol compresses nothing. A few bytes
// could otherwise ask for any amount.
type noAllocator struct{}

var _ memory.Allocator = noAllocator{}

func (noAllocator) Allocate(size int) []byte {
	if size == 0 {
		return nil
	}
	panic(fmt.Sprintf("compressed rows, of %d bytes", size))
}

func (a noAllocator) Reallocate(size int, b []byte) []byte {
	if size == len(b) {
		return b
	}
	return a.Allocate(size)
}

func (noAllocator) Free([]byte) {}
