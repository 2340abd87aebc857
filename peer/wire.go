package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"drumlin/segment"
)

// wireFormat is the version of everything that this package sends. It rises with every change that a reader of the version
// before would misunderstand; fields that he may ignore do not raise it.
const wireFormat = 1

// header begins every JSON text of this package.
type header struct {
	Format int `json:"format"`
}

// decode reads a JSON text of this package. what names it in errors.
func decode(what string, text []byte, to any) error {
	var h header
	if err := json.Unmarshal(text, &h); err != nil {
		return fmt.Errorf("%s is not JSON: %w", what, err)
	}
	if h.Format != wireFormat {
		return fmt.Errorf("%s has format %d, and this process knows format %d: run the same version everywhere", what, h.Format, wireFormat)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ticket is a segment.HotRequest on the wire. Columns: null asks for all.
type ticket struct {
	header
	Supervisor  string        `json:"supervisor"`
	Topic       string        `json:"topic"`
	Generation  int32         `json:"generation"`
	Partition   int32         `json:"partition"`
	From        int64         `json:"from"`
	Facts       segment.Facts `json:"facts"`
	Revision    int64         `json:"revision"`
	Columns     []string      `json:"columns"`
	WithRejects bool          `json:"withRejects"`
	FromMillis  int64         `json:"fromMillis"`
	ToMillis    int64         `json:"toMillis"`
	// Since and Reading: what the asker holds. A process that does not know them sends everything, which is right, too.
	Since   int64  `json:"since,omitempty"`
	Reading string `json:"reading,omitempty"`
}

func encodeTicket(r segment.HotRequest) ([]byte, error) {
	return json.Marshal(ticket{
		header: header{wireFormat}, Supervisor: r.Supervisor, Topic: r.Topic, Generation: r.Generation, Partition: r.Partition,
		From: r.From, Facts: r.Facts, Revision: r.Revision, Columns: r.Columns, WithRejects: r.WithRejects,
		FromMillis: r.FromMillis, ToMillis: r.ToMillis, Since: r.Since, Reading: r.Reading,
	})
}

func decodeTicket(text []byte) (segment.HotRequest, error) {
	var t ticket
	if err := decode("the ticket", text, &t); err != nil {
		return segment.HotRequest{}, err
	}
	switch {
	case t.Supervisor == "" || t.Topic == "":
		return segment.HotRequest{}, errors.New("the ticket names no supervisor or no topic")
	case t.Partition < 0 || t.Generation < 0 || t.From < 0 || t.Since < 0:
		return segment.HotRequest{}, fmt.Errorf("the ticket asks for partition %d, generation %d, offset %d, since %d: none is ever negative",
			t.Partition, t.Generation, t.From, t.Since)
	}
	return segment.HotRequest{
		Supervisor: t.Supervisor, Topic: t.Topic, Generation: t.Generation, Partition: t.Partition, From: t.From, Facts: t.Facts,
		Revision: t.Revision, Columns: t.Columns, WithRejects: t.WithRejects, FromMillis: t.FromMillis, ToMillis: t.ToMillis,
		Since: t.Since, Reading: t.Reading,
	}, nil
}

// The kinds of messages in a stream of hot rows, in its app_metadata.
const (
	kindBegin  = "begin"  // first: what range the answer is about
	kindSchema = "schema" // with an Arrow schema: the batches from here on have it
	kindBatch  = "batch"  // with an Arrow record batch
	kindEnd    = "end"    // last: how much the stream held
)

// frame is the app_metadata of one message of a stream of hot rows. The kind says which of its parts is there.
type frame struct {
	header
	Kind   string       `json:"kind"`
	Begin  *beginFrame  `json:"begin,omitempty"`
	Schema *schemaFrame `json:"schema,omitempty"`
	Batch  *batchFrame  `json:"batch,omitempty"`
	End    *endFrame    `json:"end,omitempty"`
}

type beginFrame struct {
	Range    segment.OffsetRange `json:"range"`
	Counters segment.Counters    `json:"counters"` // of the whole range, whatever is left out of the stream
	Reading  string              `json:"reading,omitempty"`
	Since    int64               `json:"since,omitempty"` // rows below are left out, since the asker holds them; 0: none are
}

type schemaFrame struct {
	ID      int32            `json:"id"`
	Rejects bool             `json:"rejects"`
	Columns []segment.Column `json:"columns"`
}

type batchFrame struct {
	Rows       int64        `json:"rows"`
	FromOffset int64        `json:"fromOffset"`
	ToOffset   int64        `json:"toOffset"`
	MinMillis  int64        `json:"minMillis"`
	MaxMillis  int64        `json:"maxMillis"`
	Buckets    []bucketRows `json:"buckets"`
	CRC32C     uint32       `json:"crc32c"` // of data_header and data_body, in this order
}

// castagnoli is CRC-32C's table. TCP's own sum is weak, and a flipped bit would be a wrong answer.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(meta, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(meta, castagnoli), castagnoli, body)
}

type bucketRows struct {
	segment.Bucket
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
}

type endFrame struct {
	Batches       int64 `json:"batches"`
	Rows          int64 `json:"rows"`
	RejectBatches int64 `json:"rejectBatches"`
	RejectRows    int64 `json:"rejectRows"`
}

// count adds a batch to what the stream has held.
func (e *endFrame) count(rejects bool, rows int64) {
	if rejects {
		e.RejectBatches, e.RejectRows = e.RejectBatches+1, e.RejectRows+rows
		return
	}
	e.Batches, e.Rows = e.Batches+1, e.Rows+rows
}

func decodeFrame(text []byte) (frame, error) {
	var f frame
	if err := decode("a message of hot rows", text, &f); err != nil {
		return frame{}, err
	}
	present := map[string]bool{
		kindBegin: f.Begin != nil, kindSchema: f.Schema != nil, kindBatch: f.Batch != nil, kindEnd: f.End != nil,
	}
	if !present[f.Kind] {
		return frame{}, fmt.Errorf("a message of hot rows of the kind %q lacks what belongs to it", f.Kind)
	}
	return f, nil
}
