package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"drumlin/segment"
)

// ReadOffset reads the partition's authoritative position, newer than any view.
func (c *Catalog) ReadOffset(ctx context.Context, k PartitionKey) (off Offset, modRevision int64, found bool, err error) {
	kv, err := c.get(ctx, offsetKey(k))
	if err != nil || kv == nil {
		return Offset{}, 0, false, err
	}
	off, err = decodeOffset(kv.Key, kv.Value)
	return off, kv.ModRevision, err == nil, err
}

// Begin puts the partition's first offset, before its first record is read. start's facts must be those in force: the
// datasource's floors, which the transaction compares unchanged, and a version of the supervisor's spec.
func (c *Catalog) Begin(ctx context.Context, o Owner, start Offset) (modRevision int64, err error) {
	sup, floors, err := c.inForce(ctx, o.Supervisor)
	if err != nil {
		return 0, fmt.Errorf("begin %s of %s: %w", o.path(), o.Supervisor, err)
	}
	want := segment.Facts{
		SpecVersion: start.Facts.SpecVersion, RetentionFloorMillis: floors.RetentionMillis, DedupFloorMillis: floors.DedupMillis,
	}
	switch {
	case start.Facts != want || start.Facts.SpecVersion < 1 || start.Facts.SpecVersion > sup.Version:
		return 0, fmt.Errorf("begin %s of %s: %w: facts %+v are not in force: spec version %d, floors %+v: refresh the view",
			o.path(), o.Supervisor, ErrConflict, start.Facts, sup.Version, floors)
	case start.Counters != (segment.Counters{}):
		return 0, invalidf("begin %s of %s: offset %+v is not a beginning", o.path(), o.Supervisor, start)
	}
	if err := checkOffset("begin "+o.path(), start); err != nil {
		return 0, invalidf("%v", err)
	}
	return c.putOffset(ctx, offsetPut{
		kind: RecordBegin, owner: o, next: start, floor: ifModified(floorKey(sup.Datasource), floors.mod),
	})
}

type floorsInForce struct {
	Floors
	mod int64 // mod_revision of the floor key; 0: none
}

// inForce reads the supervisor and its datasource's floors from the store, not from a view.
func (c *Catalog) inForce(ctx context.Context, supervisor string) (*Supervisor, floorsInForce, error) {
	kv, err := c.get(ctx, specKey(supervisor))
	if err != nil {
		return nil, floorsInForce{}, err
	}
	if kv == nil {
		return nil, floorsInForce{}, invalidf("supervisor %q does not exist", supervisor)
	}
	var sup Supervisor
	if err := decode(kv.Key, kv.Value, &sup); err != nil {
		return nil, floorsInForce{}, err
	}
	floors, err := c.readFloors(ctx, sup.Datasource)
	return &sup, floors, err
}

func (c *Catalog) readFloors(ctx context.Context, datasource string) (floorsInForce, error) {
	kv, err := c.get(ctx, floorKey(datasource))
	if err != nil || kv == nil {
		return floorsInForce{}, err
	}
	f := floorsInForce{mod: kv.ModRevision}
	return f, decode(kv.Key, kv.Value, &f.Floors)
}

// Acknowledge records that records from prev.Next on are judged by these facts. It moves no offset and makes no commit.
// Facts never go back. After ErrUnanswered the same request may be made again, as one of Append.
func (c *Catalog) Acknowledge(ctx context.Context, o Owner, prevRevision int64, prev Offset, facts segment.Facts) (
	modRevision int64, err error,
) {
	if facts.SpecVersion < prev.Facts.SpecVersion || facts.RetentionFloorMillis < prev.Facts.RetentionFloorMillis ||
		facts.DedupFloorMillis < prev.Facts.DedupFloorMillis || prevRevision <= 0 {
		return 0, invalidf("acknowledge %s of %s: facts go back from %+v to %+v", o.path(), o.Supervisor, prev.Facts, facts)
	}
	next := prev
	next.Facts = facts
	if err := checkOffset("acknowledge "+o.path(), next); err != nil {
		return 0, invalidf("%v: read the offset again", err)
	}
	return c.putOffset(ctx, offsetPut{kind: RecordAcknowledge, owner: o, prevRevision: prevRevision, next: next})
}

// Reset opens the partition's next generation: its topic was made anew, or a person sets it back. Clock and counters
// begin again; facts carry over; Closed is set here: read the offset again before appending.
func (c *Catalog) Reset(ctx context.Context, o Owner, prevRevision int64, prev, next Offset) (modRevision int64, err error) {
	if next.Generation != prev.Generation+1 || next.Facts != prev.Facts || next.Counters != (segment.Counters{}) ||
		next.ClockMillis != 0 || next.Next < 0 || prevRevision <= 0 {
		return 0, invalidf("reset %s of %s: %+v does not open the generation after %+v", o.path(), o.Supervisor, next, prev)
	}
	next.Closed = append(slices.Clip(prev.Closed), ClosedGeneration{
		Generation: prev.Generation, TopicID: prev.TopicID, Start: prev.Next - prev.Counters.Sum(), End: prev.Next,
		Stored: prev.Counters.Stored,
	})
	if err := checkOffset("reset "+o.path(), next); err != nil {
		return 0, invalidf("%v: read the offset again", err)
	}
	return c.putOffset(ctx, offsetPut{kind: RecordReset, owner: o, prevRevision: prevRevision, next: next})
}

// offsetPut is a put of offset/… without a commit.
type offsetPut struct {
	kind         RecordKind
	owner        Owner
	prevRevision int64 // 0: the key must not exist
	next         Offset
	floor        Compare // zero: none
}

// putOffset writes the record, which a rebuild needs, and then puts the offset.
func (c *Catalog) putOffset(ctx context.Context, p offsetPut) (modRevision int64, err error) {
	where := fmt.Sprintf("%s %s of %s", p.kind, p.owner.path(), p.owner.Supervisor)
	next := p.next
	r := Record{
		Kind: p.kind, Incarnation: c.incarnation, Key: p.owner.PartitionKey, Epoch: p.owner.Epoch,
		PrevRevision: p.prevRevision, Offset: next,
	}
	// The name is made of the content: a request that is made again because it was not answered finds its own work.
	r.Offset.Record = ""
	content, err := encode(r)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	digest := sha256.Sum256(content)
	next.Record = offsetRecordName(c.incarnation, &r, hex.EncodeToString(digest[:8]))
	r.Offset = next
	record, err := encode(r)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	value, err := encode(next)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	if _, err := putObject(ctx, c.o.Objects, next.Record, record); err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	format, err := c.writable()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	own, pos := ownKey(p.owner.PartitionKey), offsetKey(p.owner.PartitionKey)
	t := Txn{
		If:   []Compare{ifCreated(own, p.owner.Epoch), ifModified(pos, p.prevRevision), format},
		Then: []Op{opPut(pos, value)},
		Else: opGets(own, pos, keyFormat),
	}
	if p.floor.Key != "" {
		t.If = append(t.If, p.floor)
		t.Else = append(t.Else, opGets(p.floor.Key)...)
	}
	res, doubtful, err := c.settle(ctx, t)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, unanswered(err, doubtful))
	}
	if res.Succeeded {
		return res.Revision, nil
	}
	modRevision, err = p.verdict(res, doubtful, next.Record)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	return modRevision, nil
}

// verdict reads the Else branch of a put of an offset.
func (p *offsetPut) verdict(res *TxnResult, doubtful bool, record string) (int64, error) {
	kv, ok := res.Gets[offsetKey(p.owner.PartitionKey)]
	if ok {
		there, err := decodeOffset(kv.Key, kv.Value)
		if err != nil {
			return 0, err
		}
		if there.Record == record {
			return kv.ModRevision, nil
		}
	}
	moved := kv.ModRevision != p.prevRevision
	switch {
	case doubtful && moved:
		return 0, fmt.Errorf("%w: the offset has moved after an attempt whose reply was lost", ErrUnknown)
	case res.Gets[ownKey(p.owner.PartitionKey)].CreateRevision != p.owner.Epoch:
		return 0, fmt.Errorf("%w: epoch %d", ErrFenced, p.owner.Epoch)
	case moved:
		return 0, fmt.Errorf("%w: the offset is at revision %d, not at %d", ErrConflict, kv.ModRevision, p.prevRevision)
	case p.floor.Key != "" && res.Gets[p.floor.Key].ModRevision != p.floor.Revision:
		return 0, fmt.Errorf("%w: the datasource's floors have risen", ErrConflict)
	}
	return 0, formatChanged(res)
}
