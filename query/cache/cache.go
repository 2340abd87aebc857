package cache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drumlin/segment"
)

// ErrTooBig: what one caller wants at once does not fit into the cache's budget.
var ErrTooBig = errors.New("the segments of the query do not fit into the cache")

const (
	suffix        = ".parquet"
	partialSuffix = ".partial"
	// fetchesAtOnce bounds one query's fetches under way: of small segments the store's answer is all that takes time.
	fetchesAtOnce = 32
)

// Getter reads objects, as an objectstore.Store does.
type Getter interface {
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
}

// Options configure a cache.
type Options struct {
	Dir      string // made if it is absent; the cache owns every file in it
	MaxBytes int64  // on disk; 0: no limit
	Objects  Getter
	// Budget is how long nothing of an object may come from the store before its fetch fails with ErrSilent; 0: no limit.
	Budget  time.Duration
	Logger  *slog.Logger
	Metrics *Metrics // nil: none
}

// Cache is safe for concurrent use. Only one process may use a directory.
type Cache struct {
	dir      string
	maxBytes int64
	objects  Getter
	budget   time.Duration
	log      *slog.Logger
	metrics  *Metrics

	mu      sync.Mutex
	entries map[string]*entry // by checksum
	used    *list.List        // of *entry that are on disk, the most recently used in front
	bytes   int64             // on disk, or being fetched
}

type entry struct {
	sha256   string
	size     int64
	pins     int
	verified os.FileInfo // of the file whose checksum this process has compared; nil: none
	element  *list.Element
	// busy is there while somebody fetches or verifies; the others wait for it.
	busy *effort
}

// effort is one caller's fetch or verification, which others wait for.
type effort struct {
	done chan struct{}
	// err is why it failed, for those who waited, too; nil: it succeeded, or its caller gave up. Set before done is closed.
	err error
}

// Open takes stock of the directory: leftovers of a crash go, whole files stay, unverified.
func Open(o Options) (*Cache, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("open the segment cache: %w", err)
	}
	c := &Cache{
		dir: dir, maxBytes: o.MaxBytes, objects: o.Objects, budget: o.Budget, log: o.Logger, metrics: o.Metrics,
		entries: map[string]*entry{}, used: list.New(),
	}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("open the segment cache %s: %w", dir, err)
	}
	return c, nil
}

func (c *Cache) load() error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		sum, whole := strings.CutSuffix(f.Name(), suffix)
		if !whole || !isSHA256(sum) || !f.Type().IsRegular() {
			if err := os.RemoveAll(filepath.Join(c.dir, f.Name())); err != nil {
				return err
			}
			continue
		}
		info, err := f.Info()
		if err != nil {
			return err
		}
		e := &entry{sha256: sum, size: info.Size()}
		c.entries[sum] = e
		e.element = c.used.PushFront(e)
		c.bytes += e.size
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict()
	return nil
}

// Dir is the absolute directory that holds the files.
func (c *Cache) Dir() string { return c.dir }

// Pins keep files in place until Release.
type Pins struct {
	cache   *Cache
	entries []*entry
	paths   map[string]string // by object key
	files   []os.FileInfo     // of the entries, as verified
}

// Path is the local file of a pinned segment.
func (p *Pins) Path(object string) string { return p.paths[object] }

// Changed says whether a pinned file is no longer the one that was verified: somebody else has written to it or removed it.
func (p *Pins) Changed() bool {
	for i, file := range p.files {
		if file == nil || !sameFile(filepath.Join(p.cache.dir, p.entries[i].sha256+suffix), file) {
			return true
		}
	}
	return false
}

// Release lets the files go. It may be called once.
func (p *Pins) Release() {
	c := p.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range p.entries {
		e.pins--
		if e.pins == 0 && e.element == nil && e.busy == nil { // its fetch has failed
			delete(c.entries, e.sha256)
		}
	}
	p.entries = nil
	c.evict()
}

// Pin brings the segments to disk, verifies them and holds them there. The caller releases the pins. An object that is
// not in the store fails with the store's error, one whose bytes are damaged, also when fetched again, with
// segment.ErrCorrupt.
func (c *Cache) Pin(ctx context.Context, segments []segment.Meta) (*Pins, error) {
	p := &Pins{cache: c, paths: map[string]string{}}
	want, err := c.reserve(p, segments)
	if err != nil {
		p.Release()
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchesAtOnce)
	for i := range want {
		e, m := p.entries[i], want[i]
		group.Go(func() error { return c.ensure(ctx, e, m) })
	}
	if err := group.Wait(); err != nil {
		p.Release()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range p.entries {
		p.files = append(p.files, e.verified)
	}
	return p, nil
}

// reserve pins the entries before their files are there, so that nobody evicts them on arrival.
func (c *Cache) reserve(p *Pins, segments []segment.Meta) ([]segment.Meta, error) {
	var want []segment.Meta
	var total int64
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[*entry]bool{}
	for _, m := range segments {
		if !isSHA256(m.SHA256) || m.Bytes < 0 {
			return nil, fmt.Errorf("segment %s: its metadata names no checksum and size: %w", m.Object, segment.ErrCorrupt)
		}
		p.paths[m.Object] = filepath.Join(c.dir, m.SHA256+suffix)
		e := c.entries[m.SHA256]
		if e == nil {
			e = &entry{sha256: m.SHA256, size: m.Bytes}
			c.entries[m.SHA256] = e
		}
		if seen[e] {
			continue
		}
		seen[e] = true
		e.pins++
		p.entries = append(p.entries, e)
		want = append(want, m)
		total += m.Bytes
	}
	if c.maxBytes > 0 && total > c.maxBytes {
		return nil, fmt.Errorf("%w: they take %d bytes of %d: ask for a shorter time, or give the cache more room",
			ErrTooBig, total, c.maxBytes)
	}
	return want, nil
}

// ensure returns once the entry's file is there and verified. One caller works, the others wait. Where that one fails, so do
// they: one after the other they would all find out the same. Where he only gave up the next tries for itself.
func (c *Cache) ensure(ctx context.Context, e *entry, m segment.Meta) error {
	for {
		if c.stillVerified(e, m) {
			c.metrics.hit()
			return nil
		}
		c.mu.Lock()
		busy := e.busy
		if busy == nil {
			e.busy = &effort{done: make(chan struct{})}
			onDisk := e.element != nil
			c.mu.Unlock()
			return c.work(ctx, e, m, onDisk)
		}
		c.mu.Unlock()
		select {
		case <-busy.done:
			if busy.err != nil {
				return busy.err
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for segment %s, which another query fetches: %w", m.Object, context.Cause(ctx))
		}
	}
}

// stillVerified says whether the file on disk is the one that has been verified. One that has gone, or that somebody has
// written to since, counts as not verified.
func (c *Cache) stillVerified(e *entry, m segment.Meta) bool {
	c.mu.Lock()
	verified := e.verified
	c.mu.Unlock()
	if verified == nil {
		return false
	}
	same := sameFile(filepath.Join(c.dir, e.sha256+suffix), verified)
	c.mu.Lock()
	defer c.mu.Unlock()
	if same {
		c.used.MoveToFront(e.element)
		return true
	}
	if e.verified == verified {
		e.verified = nil
		c.log.Warn("a cached segment has been changed or removed by somebody else", "object", m.Object)
	}
	return false
}

func sameFile(path string, verified os.FileInfo) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(now, verified) && now.Size() == verified.Size() && now.ModTime().Equal(verified.ModTime())
}

func (c *Cache) work(ctx context.Context, e *entry, m segment.Meta, onDisk bool) error {
	var file os.FileInfo
	var err error
	if onDisk {
		file, err = c.verify(e, m)
	}
	if !onDisk || errors.Is(err, segment.ErrCorrupt) {
		if err != nil {
			c.log.Warn("a cached segment was damaged and is fetched again", "object", m.Object, "error", err)
			c.metrics.corrupt()
		}
		file, err = c.fetch(ctx, m)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	busy := e.busy
	e.busy = nil
	defer close(busy.done)
	if err != nil {
		if ctx.Err() == nil {
			busy.err = err
		}
		return err
	}
	if e.element == nil {
		e.element = c.used.PushFront(e)
		c.bytes += file.Size()
	} else {
		c.used.MoveToFront(e.element)
		c.bytes += file.Size() - e.size
	}
	e.size, e.verified = file.Size(), file
	c.evict()
	return nil
}

// evict removes files that nobody pins, the least recently used first, until the budget holds. The caller holds mu.
func (c *Cache) evict() {
	for at := c.used.Back(); at != nil && c.maxBytes > 0 && c.bytes > c.maxBytes; {
		e, previous := at.Value.(*entry), at.Prev()
		if e.pins == 0 && e.busy == nil {
			if err := os.Remove(filepath.Join(c.dir, e.sha256+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
				c.log.Error("a cached segment cannot be removed", "file", e.sha256+suffix, "error", err)
			} else {
				c.used.Remove(at)
				c.bytes -= e.size
				delete(c.entries, e.sha256)
				c.metrics.evicted()
			}
		}
		at = previous
	}
	c.metrics.size(c.bytes)
}

func isSHA256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
