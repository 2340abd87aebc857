package catalog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"drumlin/segment"
)

// Versions of the catalog's format: what this program reads and writes.
const (
	formatReads  = 1
	formatWrites = 1
)

// Format is the value of the key format. It is compared in every transaction that makes data live, so that a change
// of it stops every writer that does not know the new one.
type Format struct {
	Reader  int `json:"reader"`  // lowest version that may read
	Writer  int `json:"writer"`  // lowest version that may write
	Written int `json:"written"` // version that is being written
}

func (f Format) admitsReader() error {
	if f.Reader > formatReads || f.Reader < 1 {
		return fmt.Errorf("%w: it asks for readers of version %d, this program has %d: run a newer one",
			ErrFormat, f.Reader, formatReads)
	}
	return nil
}

func (f Format) admitsWriter() error {
	if f.Writer > formatWrites || f.Writer < 1 {
		return fmt.Errorf("%w: it asks for writers of version %d, this program has %d: run a newer one",
			ErrFormat, f.Writer, formatWrites)
	}
	return nil
}

// ownValue is the value of own/… and claim/…: who holds it, for people and for the routing of queries.
type ownValue struct {
	Node string `json:"node"`
}

// commitValue is the value of commit/…: the commit, whose segments stand inline or only in its record object.
type commitValue struct {
	Commit
	External bool `json:"external,omitempty"` // segments stand only in the record object
}

// Pin keeps what the view of a revision shows from being collected (key pin/{id}).
type Pin struct {
	Revision int64  `json:"revision"`
	Holder   string `json:"holder"`
}

// RecordKind says which transaction a record stands for.
type RecordKind string

// The kinds of records.
const (
	RecordCommit      RecordKind = "commit"
	RecordBegin       RecordKind = "begin"
	RecordAcknowledge RecordKind = "acknowledge"
	RecordReset       RecordKind = "reset"
)

// Record is the object that is written beside the data before a put of offset/…: what a rebuild reads. At one start
// offset the record with the highest (Epoch, PrevRevision) of an incarnation wins.
type Record struct {
	Kind         RecordKind   `json:"kind"`
	Incarnation  string       `json:"incarnation"`
	Key          PartitionKey `json:"partition"`
	Epoch        int64        `json:"epoch"`
	PrevRevision int64        `json:"prevRevision"` // mod_revision of the offset that the transaction replaces; 0: none
	Offset       Offset       `json:"offset"`       // as the transaction puts it
	Commit       *Commit      `json:"commit,omitempty"`
}

// encode fails on what JSON cannot hold: an infinite bound of a column, above all.
func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, invalidf("encode %T: %v", v, err)
	}
	return data, nil
}

// decode reads one JSON value and nothing after it. Unknown fields are let pass: the format key decides who may write.
func decode(what string, data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(into); err != nil {
		return corruptf("%s: %v", what, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return corruptf("%s: bytes after the value", what)
	}
	return nil
}

func decodeCommit(key string, data []byte) (*commitValue, error) {
	var v commitValue
	if err := decode(key, data, &v); err != nil {
		return nil, err
	}
	if commitKey(v.Supervisor, v.Range) != key {
		return nil, corruptf("%s names another commit: %s", key, commitKey(v.Supervisor, v.Range))
	}
	if v.External {
		if len(v.Segments) > 0 {
			return nil, corruptf("%s lists segments that should stand in its record", key)
		}
		return &v, checkCommitFrame(&v.Commit)
	}
	return &v, checkCommit(&v.Commit)
}

// DecodeRecord reads a record object.
func DecodeRecord(object string, data []byte) (*Record, error) {
	var r Record
	if err := decode(object, data, &r); err != nil {
		return nil, err
	}
	if (r.Kind == RecordCommit) != (r.Commit != nil) {
		return nil, corruptf("record %s: kind %q does not fit its content", object, r.Kind)
	}
	if r.Commit != nil {
		if err := checkCommit(r.Commit); err != nil {
			return nil, fmt.Errorf("record %s: %w", object, err)
		}
	}
	return &r, checkOffset(object, r.Offset)
}

// decodeManifest reads a manifest object.
func decodeManifest(object string, data []byte) (*Manifest, error) {
	var m Manifest
	if err := decode(object, data, &m); err != nil {
		return nil, err
	}
	if err := checkManifest(&m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", object, err)
	}
	return &m, nil
}

// checkCommitFrame checks what a commit says without its segments: law 1 above all.
func checkCommitFrame(c *Commit) error {
	where := fmt.Sprintf("commit of %s %s/%d [%d, %d)", c.Supervisor, c.Range.Topic, c.Range.Partition, c.Range.From,
		c.Range.To)
	n := c.Counters
	switch {
	case c.UUID == "" || c.Datasource == "" || c.Supervisor == "" || c.Range.Topic == "":
		return corruptf("%s: uuid, datasource, supervisor or topic is missing", where)
	case c.Range.From < 0 || c.Range.To <= c.Range.From || c.Range.Partition < 0 || c.Range.Generation < 0:
		return corruptf("%s: its range is empty or negative", where)
	case min(n.Stored, n.Duplicates, n.Rejected, n.Skipped, n.Lost, n.Keyless, n.Unparseable) < 0,
		n.Keyless > n.Stored, n.Unparseable > n.Rejected:
		return corruptf("%s: its counters %+v cannot be", where, n)
	case c.Range.To-c.Range.From != n.Sum():
		return corruptf("%s: %d offsets, but its counters account for %d: %+v", where, c.Range.To-c.Range.From, n.Sum(), n)
	case c.Epoch <= 0:
		return corruptf("%s: epoch %d", where, c.Epoch)
	}
	return checkBucket(where+": rejects bucket", c.RejectsBucket)
}

// checkCommit checks a whole commit: its rows are those that its counters count.
func checkCommit(c *Commit) error {
	if err := checkCommitFrame(c); err != nil {
		return err
	}
	var stored, rejected int64
	for i := range c.Segments {
		m := &c.Segments[i]
		if err := checkMeta(m, c.Datasource); err != nil {
			return err
		}
		if m.Kind == segment.KindData {
			stored += m.InputRows()
		} else {
			rejected += m.Rows
		}
	}
	if stored != c.Counters.Stored || rejected != c.Counters.Rejected {
		return corruptf("commit %s: its segments hold %d data and %d rejects rows, its counters say %d and %d",
			commitKey(c.Supervisor, c.Range), stored, rejected, c.Counters.Stored, c.Counters.Rejected)
	}
	return nil
}

func checkMeta(m *segment.Meta, datasource string) error {
	if m.Datasource != datasource {
		return corruptf("segment %s belongs to datasource %q, not to %q", m.Object, m.Datasource, datasource)
	}
	if err := m.Validate(); err != nil {
		return corruptf("%v", err)
	}
	if m.Folded && m.Kind != segment.KindData {
		return corruptf("segment %s: rejects are never folded", m.Object)
	}
	return nil
}

func checkBucket(where string, b segment.Bucket) error {
	if b.EndMillis <= b.StartMillis {
		return corruptf("%s: bucket [%d, %d) is empty", where, b.StartMillis, b.EndMillis)
	}
	return nil
}

func checkSHA256(object, sum string) error {
	raw, err := hex.DecodeString(sum)
	if err != nil || len(raw) != 32 || hex.EncodeToString(raw) != sum {
		return corruptf("%s: %q is not a lower-case SHA-256", object, sum)
	}
	return nil
}

func checkOffset(where string, o Offset) error {
	n := o.Counters
	if o.Generation < 0 || o.Next < 0 || min(n.Stored, n.Duplicates, n.Rejected, n.Skipped, n.Lost, n.Keyless, n.Unparseable) < 0 {
		return corruptf("%s: offset %+v cannot be", where, o)
	}
	if n.Sum() > o.Next {
		return corruptf("%s: counters account for %d offsets below %d", where, n.Sum(), o.Next)
	}
	return checkClosed(where, o)
}

// checkClosed: whoever opens a generation records how the one before it ended.
func checkClosed(where string, o Offset) error {
	last := int32(-1)
	for i, g := range o.Closed {
		if g.Generation < 0 || i > 0 && g.Generation != last+1 || g.Start < 0 || g.End < g.Start || g.Stored < 0 || g.Stored > g.End-g.Start {
			return corruptf("%s: closed generation %+v cannot be", where, g)
		}
		last = g.Generation
	}
	if o.Generation > 0 && last != o.Generation-1 || o.Generation == 0 && len(o.Closed) > 0 {
		return corruptf("%s: generation %d does not follow the closed ones, of which %d is the last", where, o.Generation, last)
	}
	return nil
}

func decodeOffset(key string, data []byte) (Offset, error) {
	var o Offset
	if err := decode(key, data, &o); err != nil {
		return Offset{}, err
	}
	return o, checkOffset(key, o)
}

func decodeSchema(key string, data []byte) (*segment.Schema, error) {
	var s segment.Schema
	if err := decode(key, data, &s); err != nil {
		return nil, err
	}
	parts, err := splitKey(key, prefixSchema, 2)
	if err != nil {
		return nil, err
	}
	if id, err := strconv.ParseInt(parts[1], 10, 32); err != nil || int32(id) != s.ID || s.ID < 1 {
		return nil, corruptf("%s holds schema %d", key, s.ID)
	}
	return &s, nil
}

func decodeHead(key string, data []byte) (*Head, error) {
	var h Head
	if err := decode(key, data, &h); err != nil {
		return nil, err
	}
	switch h.State {
	case HeadRaw, HeadFolded, HeadDropped:
	default:
		return nil, corruptf("%s: state %q is not known", key, h.State)
	}
	if h.Sequence < 1 || h.Absorbed < 0 || h.Manifest == "" || h.Plan < 0 {
		return nil, corruptf("%s: head %+v cannot be", key, h)
	}
	return &h, checkSHA256(key, h.ManifestSHA256)
}
