package catalog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"drumlin/internal/failpoint"
)

// Options are what a catalog stands on. Zero limits mean the defaults.
type Options struct {
	KV      Backend
	Objects Objects // for records, manifests and mirrors
	Logger  *slog.Logger
	// Now is the wall clock, for values that people read and for the grace period of collection, which only lengthens
	// what may still be read.
	Now func() time.Time
	// RequestTimeout limits one request to the store. Default 5 s.
	RequestTimeout time.Duration
	// CheckEvery is the period of the comparison of the view with the store. Default 60 s; negative: never.
	CheckEvery time.Duration
	// WatchSilence is how long a watch that was asked for progress may deliver nothing before another is begun: the member
	// behind it may hang. Default 2 s.
	WatchSilence time.Duration
	// MaxInlineBytes is the size of a commit's value up to which its segments stand in it. Default 16 KiB.
	MaxInlineBytes int
	// Fetches limits how many objects are read at a time for a view. Default 8.
	Fetches    int
	Failpoints *failpoint.Set
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 5 * time.Second
	}
	if o.CheckEvery == 0 {
		o.CheckEvery = time.Minute
	}
	if o.WatchSilence == 0 {
		o.WatchSilence = 2 * time.Second
	}
	if o.MaxInlineBytes == 0 {
		o.MaxInlineBytes = 16 << 10
	}
	if o.Fetches == 0 {
		o.Fetches = 8
	}
}

// Catalog is one process's door to the catalog. It is safe for concurrent use.
type Catalog struct {
	o           Options
	incarnation string
	instance    string // of this process, made when the catalog was opened
	fetcher     fetcher
	cancel      context.CancelFunc // ends the watcher
	done        chan struct{}      // closed when the watcher has ended
	wantResync  chan struct{}
	wantFresh   chan struct{} // asks the watcher for a progress report

	mu      sync.Mutex
	view    *View
	live    liveState
	changed chan struct{} // closed and replaced at every new view
	failed  error         // set once: views will not advance any more
	resyncs int64
	// registered are the ids of nodes that this process has announced at least once.
	registered map[string]struct{}
	marked     map[string]struct{} // manifests whose markers this process has seen or written: those that were live at the last collection, and newer ones
}

// liveState is what transactions need to know beside the view.
type liveState struct {
	format    Format
	formatMod int64
}

// Open loads the view and starts to follow the store. On first use it creates the format and the incarnation.
func Open(ctx context.Context, o Options) (*Catalog, error) {
	o.setDefaults()
	if o.KV == nil || o.Objects == nil {
		return nil, invalidf("open the catalog: a store and an object store are needed")
	}
	c := &Catalog{
		o: o, instance: randomID(8), registered: map[string]struct{}{}, fetcher: fetcher{objects: o.Objects, limit: o.Fetches}, done: make(chan struct{}),
		wantResync: make(chan struct{}, 1), wantFresh: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if err := c.initialise(ctx); err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	s, err := c.loadRetrying(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	if err := c.publish(s); err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	c.incarnation = s.incarnation
	// The watcher outlives ctx, which limits only the opening; Close ends it.
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	go func() {
		defer close(c.done)
		c.follow(runCtx, s)
	}()
	return c, nil
}

// initialise creates format and incarnation where they are missing. Of two processes that try, one wins; both read
// what is there afterwards.
func (c *Catalog) initialise(ctx context.Context) error {
	format, err := encode(Format{Reader: formatReads, Writer: formatWrites, Written: formatWrites})
	if err != nil {
		return err
	}
	id := randomID(8)
	res, err := c.txn(ctx, Txn{
		If:   []Compare{ifAbsent(keyFormat), ifAbsent(keyIncarnation)},
		Then: []Op{opPut(keyFormat, format), opPut(keyIncarnation, []byte(id))},
		Else: opGets(keyFormat, keyIncarnation),
	})
	if errors.Is(err, ErrKVUnknown) {
		c.o.Logger.Warn("creating the catalog has an unknown outcome; reading what is there", "error", err)
		return nil
	}
	if err != nil || res.Succeeded {
		return err
	}
	if len(res.Gets) != 2 {
		return corruptf("of the keys format and incarnation one is missing")
	}
	return nil
}

// Close ends the watcher and waits for it. Sessions are closed by those who registered them.
func (c *Catalog) Close() error {
	c.cancel()
	<-c.done
	c.fail(ErrClosed)
	return nil
}

// Incarnation is the id that the catalog was created with. It stands in every object's name.
func (c *Catalog) Incarnation() string { return c.incarnation }

// View is the newest view.
func (c *Catalog) View() *View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view
}

// Resyncs counts how often the view had to be loaded again.
func (c *Catalog) Resyncs() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resyncs
}

func (c *Catalog) snapshot() (*View, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view, c.changed, c.failed
}

// progressEvery is how often a waiter asks the store to report its revision.
const progressEvery = 100 * time.Millisecond

// WaitRevision returns a view at least as new as the revision.
func (c *Catalog) WaitRevision(ctx context.Context, revision int64) (*View, error) {
	for {
		v, changed, err := c.snapshot()
		switch {
		case v.Revision >= revision:
			return v, nil
		case err != nil:
			return nil, fmt.Errorf("wait for revision %d, the view is at %d: %w", revision, v.Revision, err)
		}
		signal(c.wantFresh)
		timer := time.NewTimer(progressEvery)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("wait for revision %d, the view is at %d: %w", revision, v.Revision, ctx.Err())
		}
		timer.Stop()
	}
}

// WaitChange returns a view newer than the revision, as soon as there is one.
func (c *Catalog) WaitChange(ctx context.Context, after int64) (*View, error) {
	for {
		v, changed, err := c.snapshot()
		switch {
		case v.Revision > after:
			return v, nil
		case err != nil:
			return nil, fmt.Errorf("wait for a view after revision %d: %w", after, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a view after revision %d: %w", after, ctx.Err())
		}
	}
}

// Refresh returns a view at least as new as the store was when Refresh was called.
func (c *Catalog) Refresh(ctx context.Context) (*View, error) {
	res, err := c.rangeKeys(ctx, keyFormat, RangeOptions{Exact: true, KeysOnly: true})
	if err != nil {
		return nil, fmt.Errorf("refresh the view: %w", err)
	}
	return c.WaitRevision(ctx, res.Revision)
}

func (c *Catalog) rangeKeys(ctx context.Context, prefix string, o RangeOptions) (*RangeResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.RequestTimeout)
	defer cancel()
	return c.o.KV.Range(ctx, prefix, o)
}

// wholeReads is how many requests' time a read of the whole catalog gets, which goes in pages.
const wholeReads = 12

// rangeAll reads every key.
func (c *Catalog) rangeAll(ctx context.Context, o RangeOptions) (*RangeResult, error) {
	ctx, cancel := context.WithTimeout(ctx, wholeReads*c.o.RequestTimeout)
	defer cancel()
	return c.o.KV.Range(ctx, "", o)
}

func (c *Catalog) txn(ctx context.Context, t Txn) (*TxnResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.RequestTimeout)
	defer cancel()
	return c.o.KV.Txn(ctx, t)
}

// get reads one key linearizably; nil: not there.
func (c *Catalog) get(ctx context.Context, key string) (*KeyValue, error) {
	res, err := c.rangeKeys(ctx, key, RangeOptions{Exact: true})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(res.KVs) == 0 {
		return nil, nil
	}
	return &res.KVs[0], nil
}

// writable is the compare that every transaction carries which makes data live.
func (c *Catalog) writable() (Compare, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.live.format.admitsWriter(); err != nil {
		return Compare{}, err
	}
	return ifModified(keyFormat, c.live.formatMod), nil
}

// publish makes the state's view the newest one.
func (c *Catalog) publish(s *state) error {
	c.mu.Lock()
	prev := c.view
	c.mu.Unlock()
	next, err := s.view(prev)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view = next
	c.live = liveState{format: s.format, formatMod: s.formatMod}
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// fail makes waiters return: the view will not advance any more.
func (c *Catalog) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return
	}
	c.failed = err
	close(c.changed)
	c.changed = make(chan struct{})
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func randomID(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails: it ends the process where the system has no randomness
	return hex.EncodeToString(raw)
}
