package peer

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"drumlin/catalog"
	"drumlin/segment"
)

const (
	// What nobody has asked for so long is let go. So a wide shape costs no more than a minute's rows longer than it is asked for.
	cacheIdleAfter = time.Minute
	// A partition whose rows do not fit is asked directly for so long.
	cacheTooBigFor = time.Minute
)

// fetchHot asks the process at an address. since is from where on the rows are that came; it is the request's From unless the
// process has left out what the asker holds.
type fetchHot func(ctx context.Context, address string, r segment.HotRequest, has counted) (rows *segment.HotRows, since int64, err error)

// counted is how many rows the asker holds of [From, Since).
type counted struct{ rows, rejects int64 }

// hotCache keeps rows of other processes between queries. The owner is asked for each query all the same: he says whether he
// still answers for the offset, and how far he has read; only rows that are held already do not come again.
//
// Per partition one query asks at a time; those that came before it asked share what it got.
type hotCache struct {
	fetch    fetchHot
	maxBytes int64
	mem      memory.Allocator
	log      *slog.Logger
	metrics  *cacheMetrics

	mu      sync.Mutex
	entries map[catalog.PartitionKey]*cacheEntry
	used    *list.List // of *cacheEntry, the most recently used in front
	bytes   int64      // of all entries
	clock   int64      // counts arrivals and questions
	closed  bool

	stop    context.CancelFunc
	sweeper sync.WaitGroup
}

// cacheEntry is one partition.
type cacheEntry struct {
	key  catalog.PartitionKey
	turn chan struct{} // has one element: whoever put it there asks, and owns rows and last. While users is 0, mu's holder does
	rows *held         // nil: none
	last question

	// Under hotCache.mu.
	element *list.Element
	users   int       // queries that have or wait for the turn
	wanted  *shape    // of those who wait; nil: nobody does
	bytes   int64     // of rows, as last counted
	usedAt  time.Time // when somebody came last
	direct  time.Time // until then the cache is passed by
}

// question is one asking of the owner, and what it came to.
type question struct {
	begun   int64 // by the clock; 0: none
	address string
	request segment.HotRequest
	shape   shape
	// rows are the entry's, if err is nil and counters are there.
	counters *segment.Counters
	err      error // not of the asker's own context
}

// serves says whether what was asked answers a request, too, that had arrived before.
func (q *question) serves(arrived int64, address string, r segment.HotRequest, want shape) bool {
	return q.begun > arrived && q.address == address && q.request.From == r.From && q.request.Generation == r.Generation &&
		q.request.Facts == r.Facts && (q.err != nil || q.counters != nil && q.shape.covers(want))
}

func newHotCache(o ClientOptions, mem memory.Allocator, m *cacheMetrics, fetch fetchHot) *hotCache {
	ctx, cancel := context.WithCancel(context.Background())
	c := &hotCache{
		fetch: fetch, maxBytes: o.HotCacheBytes, mem: mem, log: o.Logger, metrics: m,
		entries: map[catalog.PartitionKey]*cacheEntry{}, used: list.New(), stop: cancel,
	}
	c.sweeper.Go(func() { c.run(ctx) })
	return c
}

// hot answers a request with what is held and what its owner has beyond that.
func (c *hotCache) hot(ctx context.Context, address string, r segment.HotRequest) (*segment.HotRows, error) {
	want := shapeOf(r)
	if want.empty() {
		return c.direct(ctx, address, r)
	}
	e, arrived := c.enter(r, want)
	if e == nil {
		return c.direct(ctx, address, r)
	}
	defer c.leave(e)
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.turn }()
	if c.passedBy(e) {
		return c.direct(ctx, address, r)
	}
	if e.last.serves(arrived, address, r, want) {
		if e.last.err != nil {
			return nil, e.last.err
		}
		c.metrics.shared()
		return e.rows.answer(r, *e.last.counters), nil
	}
	return c.ask(ctx, e, address, r, want)
}

func (c *hotCache) direct(ctx context.Context, address string, r segment.HotRequest) (*segment.HotRows, error) {
	rows, _, err := c.fetch(ctx, address, r, counted{})
	return rows, err
}

// enter notes that somebody wants rows of the partition. Nil: the cache is of no use to him. leave follows.
func (c *hotCache) enter(r segment.HotRequest, want shape) (e *cacheEntry, arrived int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := catalog.PartitionKey{Supervisor: r.Supervisor, Topic: r.Topic, Partition: r.Partition}
	now := time.Now()
	e = c.entries[key]
	if c.closed || e != nil && now.Before(e.direct) {
		return nil, 0
	}
	if e == nil {
		e = &cacheEntry{key: key, turn: make(chan struct{}, 1)}
		e.element = c.used.PushFront(e)
		c.entries[key] = e
	}
	c.used.MoveToFront(e.element)
	e.users, e.usedAt = e.users+1, now
	if e.wanted != nil {
		want = want.with(*e.wanted)
	}
	e.wanted = &want
	c.clock++
	return e, c.clock
}

// passedBy says whether it has turned out that the rows do not fit.
func (c *hotCache) passedBy(e *cacheEntry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(e.direct)
}

// leave lets go what does not fit now that one query less needs the entry.
func (c *hotCache) leave(e *cacheEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	if e.users == 0 && c.closed {
		c.dropLocked(e)
	}
	c.trimLocked(c.maxBytes)
}

// begin takes the shapes of all who wait.
func (c *hotCache) begin(e *cacheEntry, want shape) (begun int64, all shape) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.wanted != nil {
		want, e.wanted = want.with(*e.wanted), nil
	}
	c.clock++
	return c.clock, want
}

// keep sets what the entry holds, and notes its size; nil: nothing. The caller has the turn. False: it does not fit, and is gone.
func (c *hotCache) keep(e *cacheEntry, rows *held) bool {
	if e.rows != nil && e.rows != rows {
		e.rows.release()
	}
	e.rows = rows
	c.mu.Lock()
	defer c.mu.Unlock()
	bytes := int64(0)
	if rows != nil {
		bytes = rows.bytes
	}
	c.bytes, e.bytes = c.bytes+bytes-e.bytes, bytes
	c.trimLocked(c.maxBytes)
	if c.bytes <= c.maxBytes {
		c.metrics.holds(c.bytes)
		return true
	}
	e.direct = time.Now().Add(cacheTooBigFor)
	c.dropLocked(e)
	c.metrics.holds(c.bytes)
	return false
}

// shed makes room for rows that came: what nobody uses now goes.
func (c *hotCache) shed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trimLocked(0)
	c.metrics.holds(c.bytes)
}

// trimLocked drops the rows of entries that nobody uses, the least recently used first, until the bound holds.
func (c *hotCache) trimLocked(most int64) {
	for at := c.used.Back(); at != nil && c.bytes > most; at = at.Prev() {
		if e := at.Value.(*cacheEntry); e.users == 0 && e.rows != nil {
			c.dropLocked(e)
			c.metrics.evicted()
		}
	}
}

// dropLocked lets the entry's rows go. The caller may own them.
func (c *hotCache) dropLocked(e *cacheEntry) {
	if e.rows != nil {
		e.rows.release()
	}
	e.rows, e.last = nil, question{}
	c.bytes, e.bytes = c.bytes-e.bytes, 0
}

// run forgets partitions that nobody asks for.
func (c *hotCache) run(ctx context.Context) {
	tick := time.NewTicker(cacheIdleAfter / 4)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.forget(now.Add(-cacheIdleAfter))
		case <-ctx.Done():
			return
		}
	}
}

func (c *hotCache) forget(before time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.entries {
		if e.users == 0 && e.usedAt.Before(before) {
			c.dropLocked(e)
			c.used.Remove(e.element)
			delete(c.entries, key)
		}
	}
	c.metrics.holds(c.bytes)
}

// close lets everything go that no query uses; the rest goes with its last one. Answers that were given stay whole.
func (c *hotCache) close() {
	c.stop()
	c.sweeper.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, e := range c.entries {
		if e.users == 0 {
			c.dropLocked(e)
		}
	}
}

// ask asks the owner for what is not held. The caller has the entry's turn.
func (c *hotCache) ask(ctx context.Context, e *cacheEntry, address string, r segment.HotRequest, want shape) (*segment.HotRows, error) {
	begun, all := c.begin(e, want)
	h := e.rows
	if h != nil && r.From < h.from { // of a view that others have left behind
		return c.direct(ctx, address, r)
	}
	e.last = question{begun: begun, address: address, request: r, shape: all}
	request, has, err := sinceHeld(h, r, &all)
	if err != nil {
		return nil, err
	}
	e.last.shape = all
	rows, since, err := c.fetch(ctx, address, request, has)
	switch {
	case err != nil && request.Reading != "" && errors.Is(err, ErrMalformed):
		// What is held and what came do not make up what the owner counts. That should never be: begin anew.
		c.log.Error("rows that are held of another process are not the beginning of its own: they are dropped", "address", address, "error", err)
		c.metrics.mismatched()
		c.keep(e, nil)
		rows, since, err = c.fetch(ctx, address, all.on(r), counted{})
	case errors.Is(err, ErrHotBudget) && request.Reading != "":
		c.shed()
		rows, since, err = c.fetch(ctx, address, request, has)
	case errors.Is(err, ErrHotBudget): // for others' sake more was asked for than this query needs
		c.shed()
		return c.direct(ctx, address, r)
	}
	if err != nil {
		if ctx.Err() == nil {
			e.last.err = err
		}
		return nil, err
	}
	return c.took(e, r, all, rows, since)
}

// sinceHeld is the request for what is not held: everything, where what is held does not fit.
func sinceHeld(h *held, r segment.HotRequest, all *shape) (segment.HotRequest, counted, error) {
	if h == nil || !h.reaches(r) || h.to == r.From {
		return all.on(r), counted{}, nil
	}
	if !h.shape.covers(*all) {
		*all = all.with(h.shape)
		return all.on(r), counted{}, nil
	}
	*all = h.shape
	rows, rejects, err := h.count(r.From)
	request := h.shape.on(r)
	request.Since, request.Reading = h.to, h.reading
	return request, counted{rows, rejects}, err
}

// took takes over what came, and answers.
func (c *hotCache) took(e *cacheEntry, r segment.HotRequest, all shape, rows *segment.HotRows, since int64) (*segment.HotRows, error) {
	counters := rows.Counters
	if rows.Reading == "" { // a process that does not name its reading: nothing can be held of it
		c.keep(e, nil)
		return rows, nil
	}
	h := e.rows
	if since > r.From {
		c.metrics.served(r, since)
		if err := h.add(c.mem, rows); err != nil {
			rows.Release()
			c.keep(e, nil)
			return nil, err
		}
		h.dropBelow(r.From)
	} else {
		h = hold(r, all, rows)
	}
	out := h.answer(r, counters)
	if c.keep(e, h) {
		e.last.counters = &counters
	}
	return out, nil
}
