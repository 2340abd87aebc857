package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
// reload, unless it is ErrUnanswered too: then the same request, with the same uuid, may be made again for as long as it
// takes; where an earlier attempt of it took effect, that is a success. ErrInvalid: the request breaks law 1 or the tiling.
// After any error nothing that was uploaded may be deleted: collection finds out what is dead.
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
		return 0, fmt.Errorf("%s: %w", where, unanswered(err, doubtful))
	}
	if err := c.o.Failpoints.Hit("catalog.append.after_txn"); err != nil {
		return 0, fmt.Errorf("%s: %w: %w: %w", where, ErrUnknown, ErrUnanswered, err)
	}
	if res.Succeeded {
		return res.Revision, nil
	}
	revision, err = r.verdict(res, doubtful, c.incarnation)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", where, err)
	}
	return revision, nil
}

// unanswered marks a request whose last attempts may have taken effect and were not answered.
func unanswered(err error, doubtful bool) error {
	if doubtful {
		return fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	return err
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

// verdict reads the Else branch of an append. Whatever it finds, no attempt that is still under way can take effect later:
// a compare has failed for good.
func (r *AppendRequest) verdict(res *TxnResult, doubtful bool, incarnation string) (revision int64, err error) {
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
	if moved {
		// An earlier attempt whose commit key has been absorbed and reaped is still known by the record that the offset names.
		there, err := decodeOffset(kv.Key, kv.Value)
		if err != nil {
			return 0, err
		}
		if there.Record == commitRecordName(incarnation, r.Commit) {
			return kv.ModRevision, nil
		}
	}
	if doubtful && moved {
		// The lost attempt may have been applied, its commit key reaped, and the offset moved on by another owner.
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

// IsUnavailable says that the store could not be reached and that nothing has happened: try again later.
func IsUnavailable(err error) bool {
	return errors.Is(err, ErrKVUnavailable) && !errors.Is(err, ErrUnknown)
}
