package peer

import (
	flatbuffers "github.com/google/flatbuffers/go"
)

// What this protocol uses of Arrow's IPC metadata (Message.fbs): where fields stand in the tables. It is read here and not
// by Arrow's own decoder, which takes memory for whatever length a few bytes claim, and cannot be stopped from it.
const (
	messageVersion    = 4
	messageHeaderType = 6
	messageHeader     = 8
	batchLength       = 4
	batchNodes        = 6
	batchBuffers      = 8
	batchCompression  = 10

	ipcVersion5       = 4 // MetadataVersion.V5
	headerRecordBatch = 3 // MessageHeader.RecordBatch
	pairBytes         = 16
)

// pair is a FieldNode (values, nulls) or a Buffer (offset, length).
type pair struct{ first, second int64 }

// batchHeader is the metadata of a record batch.
type batchHeader struct {
	rows    int64
	nodes   []pair
	buffers []pair
}

// readBatchHeader reads the metadata of a record batch from bytes that may be anything.
func readBatchHeader(text []byte) (h batchHeader, err error) {
	defer func() {
		if p := recover(); p != nil { // an offset that leads out of the bytes
			err = malformed("the header of a batch: %v", p)
		}
	}()
	message := flatbuffers.Table{Bytes: text, Pos: flatbuffers.GetUOffsetT(text)}
	version, kind := int16(0), byte(0)
	if at := message.Offset(messageVersion); at != 0 {
		version = message.GetInt16(message.Pos + flatbuffers.UOffsetT(at))
	}
	if at := message.Offset(messageHeaderType); at != 0 {
		kind = message.GetByte(message.Pos + flatbuffers.UOffsetT(at))
	}
	at := message.Offset(messageHeader)
	if version != ipcVersion5 || kind != headerRecordBatch || at == 0 {
		return h, malformed("the header of a batch is of version %d and of the kind %d", version, kind)
	}
	var batch flatbuffers.Table
	message.Union(&batch, flatbuffers.UOffsetT(at))
	if batch.Offset(batchCompression) != 0 {
		return h, malformed("compressed hot rows: this protocol compresses nothing")
	}
	if at := batch.Offset(batchLength); at != 0 {
		h.rows = batch.GetInt64(batch.Pos + flatbuffers.UOffsetT(at))
	}
	if h.nodes, err = readPairs(batch, batchNodes); err != nil {
		return h, err
	}
	h.buffers, err = readPairs(batch, batchBuffers)
	return h, err
}

func readPairs(t flatbuffers.Table, field flatbuffers.VOffsetT) ([]pair, error) {
	at := flatbuffers.UOffsetT(t.Offset(field))
	if at == 0 {
		return nil, nil
	}
	n, start := t.VectorLen(at), int(t.Vector(at))
	if n < 0 || start < 0 || n > (len(t.Bytes)-start)/pairBytes {
		return nil, malformed("the header of a batch says that it has %d entries, in %d bytes", n, len(t.Bytes))
	}
	out := make([]pair, n)
	for i := range out {
		pos := flatbuffers.UOffsetT(start + i*pairBytes)
		out[i] = pair{t.GetInt64(pos), t.GetInt64(pos + pairBytes/2)}
	}
	return out, nil
}

// slice is a buffer of a message's body.
func (h *batchHeader) slice(body []byte, i int) ([]byte, error) {
	if i >= len(h.buffers) {
		return nil, malformed("a batch has too few buffers")
	}
	b := h.buffers[i]
	if b.first < 0 || b.second < 0 || b.first > int64(len(body)) || b.second > int64(len(body))-b.first {
		return nil, malformed("a buffer of a batch lies outside of its message")
	}
	return body[b.first : b.first+b.second], nil
}
