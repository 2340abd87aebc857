package metamorphic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"sync"

	"drumlin/catalog"
	"drumlin/catalog/memkv"
	"drumlin/objectstore"
)

// history is the catalog's store. It notes what every transaction has made live and when, so that the oracle knows the facts
// of any cut, and it loses replies when it is told to.
type history struct {
	*memkv.Store
	objects objectstore.Store

	mu        sync.Mutex
	commits   []commitFact
	offsets   map[string][]offsetFact // by datasource/topic/partition, ascending
	heads     map[string][]*headFact  // by datasource/bucket, ascending
	discard   bool                    // heads that are put now are those of discards
	lose      int                     // so many replies to swaps and commits are lost
	lostSwaps int                     // swaps whose compares failed
	problems  []string
}

type commitFact struct {
	revision int64
	catalog.Commit
}

type offsetFact struct {
	revision int64
	catalog.Offset
}

// headFact is one head of one bucket.
type headFact struct {
	revision int64
	catalog.Head
	manifest catalog.Manifest
	discard  bool
}

func newHistory(objects objectstore.Store) *history {
	return &history{
		Store: memkv.New(nil), objects: objects, offsets: map[string][]offsetFact{}, heads: map[string][]*headFact{},
	}
}

// Txn notes what a transaction has put.
func (h *history) Txn(ctx context.Context, t catalog.Txn) (*catalog.TxnResult, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	res, err := h.Store.Txn(ctx, t)
	if err != nil {
		return res, err
	}
	matters := false
	for _, op := range t.Then {
		kind, rest, _ := strings.Cut(op.Key, "/")
		if op.Kind != catalog.OpPut || kind != "commit" && kind != "offset" && kind != "head" {
			continue
		}
		matters = true
		if !res.Succeeded {
			if kind == "head" && h.beaten(t.If, res) {
				h.lostSwaps++
			}
			break
		}
		// The caller's patience may end after the transaction; what it did must be known all the same.
		if err := h.note(context.WithoutCancel(ctx), kind, rest, op.Value, res.Revision); err != nil {
			h.problems = append(h.problems, err.Error())
		}
	}
	if matters && h.lose > 0 {
		h.lose--
		return nil, fmt.Errorf("%w: the test lost the reply", catalog.ErrKVUnknown)
	}
	return res, nil
}

// beaten says whether a failed swap has found another head, or its claim gone.
func (h *history) beaten(compares []catalog.Compare, res *catalog.TxnResult) bool {
	for _, c := range compares {
		kv := res.Gets[c.Key]
		if c.Target == catalog.CompareCreate && kv.CreateRevision != c.Revision ||
			strings.HasPrefix(c.Key, "head/") && kv.ModRevision != c.Revision {
			return true
		}
	}
	return false
}

func (h *history) note(ctx context.Context, kind, rest string, value []byte, revision int64) error {
	switch kind {
	case "commit":
		f := commitFact{revision: revision}
		if err := json.Unmarshal(value, &f.Commit); err != nil {
			return err
		}
		if len(f.Segments) == 0 {
			whole, err := read(ctx, h.objects, f.Record)
			if err != nil {
				return err
			}
			var record catalog.Record
			if err := json.Unmarshal(whole, &record); err != nil {
				return err
			}
			if record.Commit != nil {
				f.Segments = record.Commit.Segments
			}
		}
		h.commits = append(h.commits, f)
	case "offset":
		f := offsetFact{revision: revision}
		if err := json.Unmarshal(value, &f.Offset); err != nil {
			return err
		}
		h.offsets[rest] = append(h.offsets[rest], f)
	case "head":
		f := &headFact{revision: revision, discard: h.discard}
		if err := json.Unmarshal(value, &f.Head); err != nil {
			return err
		}
		data, err := read(ctx, h.objects, f.Manifest)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, &f.manifest); err != nil {
			return err
		}
		name, bucket, _ := strings.Cut(rest, "/")
		start, err := strconv.ParseInt(bucket, 10, 64)
		if err != nil {
			return err
		}
		key := headKey(name, start)
		h.heads[key] = append(h.heads[key], f)
	}
	return nil
}

func headKey(datasource string, start int64) string { return fmt.Sprintf("%s/%d", datasource, start) }

func read(ctx context.Context, objects objectstore.Store, key string) ([]byte, error) {
	body, err := objects.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = io.Copy(&out, body)
	return out.Bytes(), joinClose(err, body)
}

func joinClose(err error, c io.Closer) error {
	if closed := c.Close(); err == nil {
		err = closed
	}
	return err
}

func (h *history) loseReplies(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lose = n
}

func (h *history) discarding(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.discard = on
}

// eventsOf are the heads that a bucket has had up to the revision, ascending.
func (h *history) eventsOf(datasource string, start, revision int64) []*headFact {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.heads[headKey(datasource, start)]
	return all[:sort.Search(len(all), func(i int) bool { return all[i].revision > revision })]
}

// offsetAt is a partition's offset at the revision.
func (h *history) offsetAt(datasource string, at place, revision int64) (catalog.Offset, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.offsets[fmt.Sprintf("%s/%s/%d", datasource, at.topic, at.partition)]
	n := sort.Search(len(all), func(i int) bool { return all[i].revision > revision })
	if n == 0 {
		return catalog.Offset{}, false
	}
	return all[n-1].Offset, true
}

// commitsOf are a partition's commits up to the revision.
func (h *history) commitsOf(datasource string, at place, revision int64) []commitFact {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []commitFact
	for _, c := range h.commits {
		if c.Datasource == datasource && c.Range.Topic == at.topic && c.Range.Partition == at.partition && c.revision <= revision {
			out = append(out, c)
		}
	}
	return out
}
