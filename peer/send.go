package peer

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/segment"
)

// sink takes the messages of a stream of hot rows. A message is its own only until Send returns.
type sink interface {
	Send(*flight.FlightData) error
}

// sender writes hot rows as a stream of messages: begin, then for each run of batches of one layout a schema and the
// batches, then end.
type sender struct {
	to  sink
	mem memory.Allocator // for pieces of batches while they are sent

	layout  *arrow.Schema // of the last schema sent
	current schemaFrame
	sent    endFrame
	body    bytes.Buffer
	bytes   int64
}

// send writes everything that the request needs of the rows, which stay the caller's.
func (s *sender) send(r segment.HotRequest, h *segment.HotRows) error {
	begin := &beginFrame{Range: h.OffsetRange, Counters: h.Counters, Reading: h.Reading}
	if r.Reading != "" && r.Reading == h.Reading && r.From < r.Since && r.Since <= h.To {
		begin.Since, r.From = r.Since, r.Since // the narrower leaves out what lies below
	}
	if err := s.frame(frame{Kind: kindBegin, Begin: begin}, nil, nil); err != nil {
		return err
	}
	if err := s.batches(newNarrower(r, h.To, false, s.mem), h.Data); err != nil {
		return err
	}
	if r.WithRejects {
		if err := s.batches(newNarrower(r, h.To, true, s.mem), h.Rejects); err != nil {
			return err
		}
	}
	return s.frame(frame{Kind: kindEnd, End: &s.sent}, nil, nil)
}

func (s *sender) batches(n *narrower, list []segment.HotBatch) error {
	for _, b := range list {
		pieces, err := n.narrow(b)
		if err != nil {
			return err
		}
		for i, piece := range pieces {
			if err := s.batch(n.rejects, piece); err != nil {
				releaseAll(pieces[i:])
				return err
			}
			piece.Record.Release()
		}
	}
	return nil
}

func (s *sender) batch(rejects bool, b segment.HotBatch) error {
	if err := s.schema(rejects, b); err != nil {
		return err
	}
	about := &batchFrame{
		Rows: b.Record.NumRows(), FromOffset: b.FromOffset, ToOffset: b.ToOffset, MinMillis: b.MinMillis, MaxMillis: b.MaxMillis,
	}
	for _, r := range b.Buckets {
		about.Buckets = append(about.Buckets, bucketRows{Bucket: r.Bucket, Rows: r.Rows, Bytes: r.Bytes})
	}
	payload, err := ipc.GetRecordBatchPayload(b.Record, ipc.WithAllocator(s.mem))
	if err != nil {
		return fmt.Errorf("encode the hot rows from offset %d on: %w", b.FromOffset, err)
	}
	defer payload.Release()
	s.sent.count(rejects, about.Rows)
	return s.payload(frame{Kind: kindBatch, Batch: about}, payload)
}

// schema goes before the first batch of a layout.
func (s *sender) schema(rejects bool, b segment.HotBatch) error {
	layout := b.Record.Schema()
	same := s.layout == layout || s.layout != nil && s.layout.Equal(layout)
	if same && s.current.ID == b.SchemaID && s.current.Rejects == rejects {
		return nil
	}
	current, err := schemaOf(b.SchemaID, rejects, layout)
	if err != nil {
		return err
	}
	s.layout, s.current = layout, current
	payload := ipc.GetSchemaPayload(layout, s.mem)
	defer payload.Release()
	return s.payload(frame{Kind: kindSchema, Schema: &current}, payload)
}

func (s *sender) payload(f frame, p ipc.Payload) error {
	meta := p.Meta()
	defer meta.Release()
	s.body.Reset()
	if err := p.SerializeBody(&s.body); err != nil {
		return fmt.Errorf("encode hot rows: %w", err)
	}
	if f.Batch != nil {
		f.Batch.CRC32C = checksum(meta.Bytes(), s.body.Bytes())
	}
	return s.frame(f, meta.Bytes(), s.body.Bytes())
}

func (s *sender) frame(f frame, meta, body []byte) error {
	f.Format = wireFormat
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode a message of hot rows: %w", err)
	}
	s.bytes += int64(len(text) + len(meta) + len(body))
	return s.to.Send(&flight.FlightData{AppMetadata: text, DataHeader: meta, DataBody: body})
}
