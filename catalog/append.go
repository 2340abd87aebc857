package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"drumlin/segment"
)

// AppendRequest is one handoff. Prev is the partition's offset as read at PrevRevision, Next as it shall become.
type AppendRequest struct {
	Owner        Owner
	Commit       *Commit // Record and RecordSHA256 are set by Append
	Prev         Offset
	PrevRevision int64
	Next         Offset
}

// Append makes a handoff live: it writes the record object, then the transaction that moves the offset and creates the
// commit key. Its segments have been uploaded before. It returns the revision of the commit, which is also the offset's
// new mod_revision.
//
// ErrFenced: not the owner any more; step down. ErrConflict: the offset has moved; reload it. ErrUnknown: step down and
// reload. ErrInvalid: the request breaks law 1 or the tiling. After any error nothing that was uploaded may be deleted:
// collection finds out what is dead.
func (c *Catalog) Append(ctx context.Context, r AppendRequest) (revision int64, err error) {
	where := fmt.Sprintf("commit %s", commitKey(r.Owner.Supervisor, r.Commit.Range))
	if err := r.check(c.incarnation); err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	if err := r.checkFolded(c.View()); err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	t, err := c.appendTxn(ctx, &r)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	if err := c.o.Failpoints.Hit("catalog.append.before_txn"); err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	res, doubtful, err := c.settle(ctx, *t)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	if err := c.o.Failpoints.Hit("catalog.append.after_txn"); err != nil {
		return 0, fmt.Errorf("%s: %w: %w", where, ErrUnknown, err)
	}
	if res.Succeeded {
		return res.Revision, nil
	}
	revision, err = r.verdict(res, doubtful)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	return revision, nil
}

// check holds the request against law 1 and the tiling before anything is written.
func (r *AppendRequest) check(incarnation string) error {
	n := r.Commit
	if err := checkCommit(n); err != nil {
		return invalidf("%v", err)
	}
	k := PartitionKey{Supervisor: n.Supervisor, Topic: n.Range.Topic, Partition: n.Range.Partition}
	switch {
	case k != r.Owner.PartitionKey || n.Epoch != r.Owner.Epoch:
		return invalidf("it belongs to %+v at epoch %d, the owner is that of %+v at epoch %d", k, n.Epoch,
			r.Owner.PartitionKey, r.Owner.Epoch)
	case r.PrevRevision <= 0:
		return invalidf("the partition has not begun: put its offset by Begin first")
	case r.Prev.Generation != n.Range.Generation || r.Next.Generation != n.Range.Generation:
		return invalidf("generations differ: offset %d, commit %d, next offset %d", r.Prev.Generation, n.Range.Generation,
			r.Next.Generation)
	case r.Prev.Next != n.Range.From || r.Next.Next != n.Range.To:
		return invalidf("it covers [%d, %d), the offset goes from %d to %d", n.Range.From, n.Range.To, r.Prev.Next, r.Next.Next)
	case n.Facts != r.Prev.Facts || r.Next.Facts != r.Prev.Facts:
		return invalidf("its facts %+v and those of the next offset %+v must be the offset's %+v: facts change by Acknowledge",
			n.Facts, r.Next.Facts, r.Prev.Facts)
	case r.Next.Counters != r.Prev.Counters.Add(n.Counters):
		return invalidf("the next offset's counters %+v are not %+v and %+v together", r.Next.Counters, r.Prev.Counters, n.Counters)
	case r.Next.ClockMillis < r.Prev.ClockMillis:
		return invalidf("the clock goes back from %d to %d", r.Prev.ClockMillis, r.Next.ClockMillis)
	case r.Next.TopicID != r.Prev.TopicID:
		return invalidf("the topic id changes from %q to %q: that is a new generation", r.Prev.TopicID, r.Next.TopicID)
	case !slices.Equal(r.Next.Closed, r.Prev.Closed):
		return invalidf("the closed generations change from %+v to %+v", r.Prev.Closed, r.Next.Closed)
	}
	if err := checkOffset("the next offset", r.Next); err != nil {
		return invalidf("%v: read the offset again", err)
	}
	return r.checkObjects(incarnation)
}

// checkFolded: rows with identities are never folded before they have been compared with all others (law 5). A
// datasource that the view does not show yet is judged when the commit is settled.
func (r *AppendRequest) checkFolded(v *View) error {
	d := v.Datasources[r.Commit.Datasource]
	if d == nil || d.Schema == nil || !d.Schema.Dedup {
		return nil
	}
	for i := range r.Commit.Segments {
		if r.Commit.Segments[i].Folded {
			return invalidf("segment %s is folded, but the datasource has dedup", r.Commit.Segments[i].Object)
		}
	}
	return nil
}

// checkObjects: collection judges an object by the epoch in its name, so that must be the one that is compared.
func (r *AppendRequest) checkObjects(incarnation string) error {
	seen := make(map[string]bool, len(r.Commit.Segments))
	ends := map[int64]int64{}
	for i := range r.Commit.Segments {
		object := r.Commit.Segments[i].Object
		inc, epoch, ok := ObjectEpoch(object)
		if !ok || inc != incarnation || epoch != r.Owner.Epoch {
			return invalidf("segment %s must be named by incarnation %s and epoch %d", object, incarnation, r.Owner.Epoch)
		}
		if seen[object] {
			return invalidf("segment %s is listed twice", object)
		}
		seen[object] = true
	}
	for _, b := range r.Commit.Buckets() {
		if end, ok := ends[b.StartMillis]; ok && end != b.EndMillis {
			return invalidf("bucket %d ends at %d and at %d", b.StartMillis, end, b.EndMillis)
		}
		ends[b.StartMillis] = b.EndMillis
	}
	return nil
}

// appendTxn writes the record and builds the transaction that names it.
func (c *Catalog) appendTxn(ctx context.Context, r *AppendRequest) (*Txn, error) {
	commit := *r.Commit
	commit.Record, commit.RecordSHA256 = "", ""
	next := r.Next
	next.Record = commitRecordName(c.incarnation, &commit)
	record, err := encode(Record{
		Kind: RecordCommit, Incarnation: c.incarnation, Key: r.Owner.PartitionKey, Epoch: r.Owner.Epoch,
		PrevRevision: r.PrevRevision, Offset: next, Commit: &commit,
	})
	if err != nil {
		return nil, err
	}
	sum, err := putObject(ctx, c.o.Objects, next.Record, record)
	if err != nil {
		return nil, err
	}
	commit.Record, commit.RecordSHA256 = next.Record, sum
	value, err := encode(commitValue{Commit: commit})
	if err != nil {
		return nil, err
	}
	if len(value) > c.o.MaxInlineBytes {
		commit.Segments = nil
		if value, err = encode(commitValue{Commit: commit, External: true}); err != nil {
			return nil, err
		}
	}
	offset, err := encode(next)
	if err != nil {
		return nil, err
	}
	format, err := c.writable()
	if err != nil {
		return nil, err
	}
	own, pos, key := ownKey(r.Owner.PartitionKey), offsetKey(r.Owner.PartitionKey), commitKey(commit.Supervisor, commit.Range)
	return &Txn{
		If: []Compare{
			ifCreated(own, r.Owner.Epoch), ifModified(pos, r.PrevRevision), ifAbsent(key), format,
		},
		Then: []Op{opPut(pos, offset), opPut(key, value)},
		Else: opGets(own, pos, key, keyFormat),
	}, nil
}

// verdict reads the Else branch of an append.
func (r *AppendRequest) verdict(res *TxnResult, doubtful bool) (revision int64, err error) {
	k := r.Owner.PartitionKey
	if kv, ok := res.Gets[commitKey(r.Commit.Supervisor, r.Commit.Range)]; ok {
		there, err := decodeCommit(kv.Key, kv.Value)
		if err != nil {
			return 0, err
		}
		if there.UUID == r.Commit.UUID {
			return kv.CreateRevision, nil
		}
	}
	fenced := res.Gets[ownKey(k)].CreateRevision != r.Owner.Epoch
	kv, ok := res.Gets[offsetKey(k)]
	if !ok {
		return 0, corruptf("%s is not there", offsetKey(k))
	}
	moved := kv.ModRevision != r.PrevRevision
	if doubtful && moved {
		// The lost attempt may have been applied, and its commit key absorbed and reaped since.
		return 0, fmt.Errorf("%w: the offset has moved after an attempt whose reply was lost", ErrUnknown)
	}
	switch {
	case fenced:
		return 0, fmt.Errorf("%w: epoch %d of %s", ErrFenced, r.Owner.Epoch, k.path())
	case moved:
		return 0, fmt.Errorf("%w: the offset is at revision %d, not at %d", ErrConflict, kv.ModRevision, r.PrevRevision)
	case res.Gets[commitKey(r.Commit.Supervisor, r.Commit.Range)].ModRevision != 0:
		return 0, corruptf("another commit stands at this offset, which the partition has not reached")
	}
	return 0, formatChanged(res)
}

// formatChanged is the verdict where every other compare held.
func formatChanged(res *TxnResult) error {
	var f Format
	if err := decode(keyFormat, res.Gets[keyFormat].Value, &f); err != nil {
		return err
	}
	if err := f.admitsWriter(); err != nil {
		return err
	}
	return fmt.Errorf("%w: the catalog's format was written again: try again", ErrConflict)
}

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
// Facts never go back.
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
	next.Record = offsetRecordName(c.incarnation, &r, randomID(8))
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
		return 0, fmt.Errorf("%s: %w", where, err)
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

// IsUnavailable says that the store could not be reached and that nothing has happened: try again later.
func IsUnavailable(err error) bool {
	return errors.Is(err, ErrKVUnavailable) && !errors.Is(err, ErrUnknown)
}
