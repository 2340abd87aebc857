package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drumlin/catalog"
	"drumlin/tests/harness"
)

// history is all that happened to a cluster's keys in etcd, which remembers every revision.
type history struct {
	client *clientv3.Client
	id     string
	from   int64 // the first revision that is of interest
}

// followHistory is called before anything is owned.
func followHistory(t *testing.T, c *harness.Cluster) *history {
	t.Helper()
	h := &history{client: c.Etcd.Root(t), id: c.ID}
	h.from = h.mark(t) + 1
	return h
}

// mark writes a key beside those of the cluster, and returns its revision.
func (h *history) mark(t *testing.T) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	res, err := h.client.Put(ctx, h.id+"-mark", "")
	if err != nil {
		t.Fatalf("mark a revision in etcd: %v", err)
	}
	return res.Header.Revision
}

// term is one ownership of a partition, or one claim of a task or of buckets: from the revision that created its keys on.
type term struct {
	node string
	owns bool // a partition
}

// past is what a history comes to.
type past struct {
	held    map[string]int64 // create_revision of what is owned or claimed, by key
	terms   map[int64]*term  // by epoch
	next    map[string]int64 // by supervisor/topic/partition: up to where commits reach
	offsets map[string]int64 // what the offset keys say of that
	heads   map[string]int64 // sequence by key
	objects map[string]bool  // that commits and heads name
	commits int

	problems []string
}

func newPast() *past {
	return &past{
		held: map[string]int64{}, terms: map[int64]*term{}, next: map[string]int64{}, offsets: map[string]int64{},
		heads: map[string]int64{}, objects: map[string]bool{},
	}
}

// check replays the history and reports what breaks the protocol's rules: each commit follows the one before it without a
// gap or an overlap, accounts for each of its offsets, and is made under an ownership that lives at its revision; so is each
// swap under its claim.
func (h *history) check(t *testing.T) *past {
	t.Helper()
	p := h.read(t)
	for _, problem := range p.problems {
		t.Error(problem)
	}
	return p
}

func (h *history) read(t *testing.T) *past {
	t.Helper()
	p := newPast()
	until := h.mark(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for res := range h.client.Watch(ctx, h.id, clientv3.WithPrefix(), clientv3.WithRev(h.from)) {
		if err := res.Err(); err != nil {
			t.Fatalf("read etcd's history: %v", err)
		}
		for _, event := range res.Events {
			if event.Kv.ModRevision >= until {
				p.compareOffsets()
				return p
			}
			p.event(strings.TrimPrefix(string(event.Kv.Key), h.id+"/"), event)
		}
	}
	t.Fatal("etcd's history ends before the present")
	return nil
}

func (p *past) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

func (p *past) event(key string, e *clientv3.Event) {
	kind, rest, _ := strings.Cut(key, "/")
	var err error
	switch {
	case kind == "own" || kind == "claim":
		err = p.hold(kind, key, e)
	case e.Type == mvccpb.DELETE:
	case kind == "offset":
		err = p.offset(rest, e.Kv)
	case kind == "commit" && e.IsCreate():
		err = p.commit(e.Kv)
	case kind == "head":
		err = p.head(key, rest, e.Kv)
	}
	if err != nil {
		p.problem("%s at revision %d: %v", key, e.Kv.ModRevision, err)
	}
}

// hold follows what lives as long as a lease, or until it is given up.
func (p *past) hold(kind, key string, e *clientv3.Event) error {
	if e.Type == mvccpb.DELETE {
		delete(p.held, key)
		return nil
	}
	p.held[key] = e.Kv.CreateRevision
	var holder struct{ Node string }
	err := json.Unmarshal(e.Kv.Value, &holder)
	p.terms[e.Kv.CreateRevision] = &term{node: holder.Node, owns: kind == "own"}
	return err
}

func (p *past) offset(partition string, kv *mvccpb.KeyValue) error {
	var o catalog.Offset
	if err := json.Unmarshal(kv.Value, &o); err != nil {
		return err
	}
	if kv.Version == 1 {
		p.next[partition] = o.Next
	}
	p.offsets[partition] = o.Next
	return nil
}

func (p *past) compareOffsets() {
	for partition, next := range p.offsets {
		if p.next[partition] != next {
			p.problem("the offset of %s is %d, its commits reach to %d", partition, next, p.next[partition])
		}
	}
}

func (p *past) commit(kv *mvccpb.KeyValue) error {
	var c catalog.Commit
	if err := json.Unmarshal(kv.Value, &c); err != nil {
		return err
	}
	partition := fmt.Sprintf("%s/%s/%d", c.Supervisor, c.Range.Topic, c.Range.Partition)
	if at, begun := p.next[partition]; !begun || c.Range.From != at || c.Range.To <= at {
		p.problem("a commit covers [%d, %d) of %s, those before reach to %d", c.Range.From, c.Range.To, partition, at)
	}
	p.next[partition] = c.Range.To
	if got, want := c.Counters.Sum(), c.Range.To-c.Range.From; got != want {
		p.problem("the commit of [%d, %d) of %s accounts for %d of %d records", c.Range.From, c.Range.To, partition, got, want)
	}
	if epoch := p.held["own/"+partition]; epoch != c.Epoch {
		p.problem("[%d, %d) of %s is committed at revision %d in epoch %d, while epoch %d lives (0: none)",
			c.Range.From, c.Range.To, partition, kv.ModRevision, c.Epoch, epoch)
	}
	p.objects[c.Record] = true
	for i := range c.Segments {
		p.objects[c.Segments[i].Object] = true
	}
	p.commits++
	return nil
}

var epochInName = regexp.MustCompile(`-e([0-9]+)-`)

// epochOf reads the epoch in an object's base name; 0: there is none.
func epochOf(name string) int64 {
	match := epochInName.FindStringSubmatch(name)
	if match == nil {
		return 0
	}
	epoch, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		return 0
	}
	return epoch
}

func (p *past) head(key, rest string, kv *mvccpb.KeyValue) error {
	var head catalog.Head
	if err := json.Unmarshal(kv.Value, &head); err != nil {
		return err
	}
	epoch := epochOf(path.Base(head.Manifest))
	if epoch == 0 {
		return fmt.Errorf("no epoch in the manifest's name %s", head.Manifest)
	}
	if lives := p.held["claim/bucket/"+rest]; lives != epoch {
		p.problem("%s is swapped at revision %d in epoch %d, while epoch %d lives (0: none)", key, kv.ModRevision, epoch, lives)
	}
	if head.Sequence != p.heads[key]+1 {
		p.problem("%s goes from sequence %d to %d", key, p.heads[key], head.Sequence)
	}
	p.heads[key] = head.Sequence
	p.objects[head.Manifest] = true
	return nil
}

// ownerships counts how often partitions were acquired.
func (p *past) ownerships() int {
	n := 0
	for _, t := range p.terms {
		if t.owns {
			n++
		}
	}
	return n
}

// epochs are those under which a node has owned or claimed something.
func (p *past) epochs(node string) map[int64]bool {
	out := map[int64]bool{}
	for epoch, t := range p.terms {
		if t.node == node {
			out[epoch] = true
		}
	}
	return out
}
