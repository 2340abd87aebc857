package catalog

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// contents are the decoded objects that keys name: commits whose segments stand outside, and manifests. Entries are
// verified and immutable.
type contents struct {
	commits   map[string]*Commit   // by record object
	manifests map[string]*Manifest // by manifest object
}

func (c contents) commit(frame *Commit) (*Commit, error) {
	full := c.commits[frame.Record]
	if full == nil {
		return nil, corruptf("record %s was not read", frame.Record)
	}
	if full.UUID != frame.UUID || full.Range != frame.Range || full.Counters != frame.Counters ||
		full.Supervisor != frame.Supervisor || full.Datasource != frame.Datasource || full.Epoch != frame.Epoch {
		return nil, corruptf("record %s holds another commit than its key", frame.Record)
	}
	out := *full
	out.Record, out.RecordSHA256 = frame.Record, frame.RecordSHA256
	return &out, nil
}

func (c contents) manifest(h *Head) (*Manifest, error) {
	m := c.manifests[h.Manifest]
	if m == nil {
		return nil, corruptf("manifest %s was not read", h.Manifest)
	}
	return m, nil
}

// fetcher reads the objects that keys name, a bounded number at a time.
type fetcher struct {
	objects Objects
	limit   int
}

// fetch reads what the keys name and known does not hold.
func (f fetcher) fetch(ctx context.Context, kvs []KeyValue, known contents) (contents, error) {
	out := contents{commits: map[string]*Commit{}, manifests: map[string]*Manifest{}}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.limit)
	for _, kv := range kvs {
		switch {
		case strings.HasPrefix(kv.Key, prefixCommit):
			v, err := decodeCommit(kv.Key, kv.Value)
			if err != nil {
				return contents{}, waitFirst(g, err)
			}
			if !v.External {
				continue
			}
			if c := known.commits[v.Record]; c != nil {
				mu.Lock()
				out.commits[v.Record] = c
				mu.Unlock()
				continue
			}
			g.Go(func() error { return f.record(ctx, &mu, out, v.Record, v.RecordSHA256) })
		case strings.HasPrefix(kv.Key, prefixHead):
			h, err := decodeHead(kv.Key, kv.Value)
			if err != nil {
				return contents{}, waitFirst(g, err)
			}
			mu.Lock()
			_, started := out.manifests[h.Manifest]
			if !started {
				out.manifests[h.Manifest] = known.manifests[h.Manifest] // nil: being read
			}
			mu.Unlock()
			if started || known.manifests[h.Manifest] != nil {
				continue
			}
			g.Go(func() error { return f.manifest(ctx, &mu, out, h.Manifest, h.ManifestSHA256) })
		}
	}
	if err := g.Wait(); err != nil {
		return contents{}, err
	}
	return out, nil
}

// waitFirst waits for what has been started, and returns the error that ended it all.
func waitFirst(g *errgroup.Group, err error) error {
	_ = g.Wait() // its errors come after err and say less
	return err
}

func (f fetcher) record(ctx context.Context, mu *sync.Mutex, out contents, object, sum string) error {
	data, err := getObject(ctx, f.objects, object, sum)
	if err != nil {
		return err
	}
	r, err := DecodeRecord(object, data)
	if err != nil {
		return err
	}
	if r.Commit == nil {
		return corruptf("record %s holds no commit", object)
	}
	mu.Lock()
	defer mu.Unlock()
	out.commits[object] = r.Commit
	return nil
}

func (f fetcher) manifest(ctx context.Context, mu *sync.Mutex, out contents, object, sum string) error {
	data, err := getObject(ctx, f.objects, object, sum)
	if err != nil {
		return err
	}
	m, err := decodeManifest(object, data)
	if err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	out.manifests[object] = m
	return nil
}

// contents are the objects that the state already holds, for the next load to reuse.
func (s *state) contents() contents {
	out := contents{commits: map[string]*Commit{}, manifests: map[string]*Manifest{}}
	if s == nil {
		return out
	}
	for _, d := range s.datasources {
		for _, ref := range d.commits {
			out.commits[ref.Commit.Record] = ref.Commit
		}
		for _, h := range d.heads {
			out.manifests[h.head.Manifest] = h.manifest
		}
	}
	return out
}
