package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/internal/secure"
	"drumlin/segment"
)

// ClientOptions are what a Client stands on. Zero limits mean the defaults.
type ClientOptions struct {
	TLS   *tls.Config   // nil: plain text
	Token secure.Secret // empty: none is sent
	// AllowPlainToken lets the token go to other machines without TLS. It can be read on the way: only for a network that
	// nobody else is in. To this machine itself it may go anyway.
	AllowPlainToken bool
	// Cluster is the catalog's incarnation. An address may have gone to a process of another cluster, which has other rows of
	// the same names: it refuses. Empty: it is not asked to.
	Cluster string

	// SilentAfter is how long an answer may stand still before its process is given up. Default 3 s.
	SilentAfter time.Duration
	// IdleAfter closes a connection that nobody has used for so long. Default 5 min.
	IdleAfter time.Duration
	// MaxMessageBytes bounds one message, and so one row. Default 128 MiB.
	MaxMessageBytes int
	// MaxHotBytes bounds the received rows that are held at once: further ones are ErrHotBudget. 0: no bound.
	MaxHotBytes int64
	// HotCacheBytes bounds those of them that are kept between queries, so that they need not come again. 0: none are.
	HotCacheBytes int64

	// Allocator holds received rows; nil means memory outside Go's heap, which readers in C need.
	Allocator  memory.Allocator
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

func (o *ClientOptions) setDefaults() {
	if o.SilentAfter == 0 {
		o.SilentAfter = 3 * time.Second
	}
	if o.IdleAfter == 0 {
		o.IdleAfter = 5 * time.Minute
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = 128 << 20
	}
	if o.Allocator == nil {
		o.Allocator = mallocator.NewMallocator()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Client asks other processes. It is safe for concurrent use.
type Client struct {
	options     ClientOptions
	budget      *budget
	connections *connections
	metrics     *metrics
	cache       *hotCache // nil: hot rows are not kept
}

// NewClient returns a client without connections: it makes one when an address is asked for the first time.
func NewClient(o ClientOptions) (*Client, error) {
	o.setDefaults()
	if !littleEndian() {
		return nil, errors.New("peer: processes speak to each other in little-endian numbers, which this machine does not have")
	}
	c := &Client{options: o, budget: &budget{inner: o.Allocator, maxBytes: o.MaxHotBytes}}
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "drumlin_peer_client_held_bytes", Help: "Bytes of hot rows of other processes that queries hold.",
	}, func() float64 { return float64(c.budget.used.Load()) })
	var err error
	if c.metrics, err = newMetrics(o.Registerer, "client", held); err != nil {
		return nil, fmt.Errorf("peer: register metrics: %w", err)
	}
	cached, err := newCacheMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("peer: register metrics: %w", err)
	}
	c.connections = newConnections(o)
	if o.HotCacheBytes > 0 {
		c.cache = newHotCache(o, c.budget, cached, c.fetchHot)
	}
	return c, nil
}

// Close ends calls that run, closes every connection, and returns when nothing of the client runs any more.
func (c *Client) Close() {
	c.connections.close()
	if c.cache != nil {
		c.cache.close()
	}
}

// Hot asks the process at the address for hot rows; see segment.HotRequest. A refusal is a *segment.HotUnavailable. The
// caller releases what it gets.
func (c *Client) Hot(ctx context.Context, address string, r segment.HotRequest) (*segment.HotRows, error) {
	if c.cache != nil {
		return c.cache.hot(ctx, address, r)
	}
	rows, _, err := c.fetchHot(ctx, address, r, counted{})
	return rows, err
}

// fetchHot is the cache's way to rows; see there.
func (c *Client) fetchHot(ctx context.Context, address string, r segment.HotRequest, has counted) (rows *segment.HotRows, since int64, err error) {
	defer c.measure("hot", time.Now(), &err)
	text, err := encodeTicket(r)
	if err != nil {
		return nil, 0, fmt.Errorf("ask %s for hot rows: %w", address, err)
	}
	err = c.call(ctx, address, func(ctx context.Context, service flight.FlightServiceClient, alive func()) error {
		stream, err := service.DoGet(ctx, &flight.Ticket{Ticket: text})
		if err != nil {
			return err
		}
		in := &receiver{from: &watched[*flight.FlightData]{stream, alive}, request: r, has: has, mem: c.budget, budget: c.budget}
		rows, err = in.receive()
		since = in.since
		c.metrics.moved(in.got.Rows+in.got.RejectRows, in.bytes)
		return err
	})
	return rows, since, err
}

// Status asks for the states of partitions. Those that the process does not read are missing in the answer.
func (c *Client) Status(ctx context.Context, address string, keys []catalog.PartitionKey) (map[catalog.PartitionKey]consumer.PartitionStatus, error) {
	var reply statusReply
	if err := c.act(ctx, address, actionStatus, statusRequest{header{wireFormat}, keys}, &reply); err != nil {
		return nil, err
	}
	out := make(map[catalog.PartitionKey]consumer.PartitionStatus, len(reply.Partitions))
	for _, s := range reply.Partitions {
		out[s.Key] = fromWire(s)
	}
	return out, nil
}

// Handoff asks for everything below the offset to be committed, waits for it, and returns the revision from which on it is
// in the catalog. It may take minutes.
func (c *Client) Handoff(ctx context.Context, address string, key catalog.PartitionKey, upTo int64) (int64, error) {
	var reply handoffReply
	err := c.act(ctx, address, actionHandoff, handoffRequest{header{wireFormat}, key, upTo}, &reply)
	return reply.Revision, err
}

// AcceptLoss lets a partition that is halted for the lost range [from, to) go on behind it.
func (c *Client) AcceptLoss(ctx context.Context, address string, key catalog.PartitionKey, from, to int64) error {
	return c.act(ctx, address, actionAcceptLoss, acceptLossRequest{header{wireFormat}, key, from, to}, nil)
}

// TaskLog is the log of a task that runs in the process at the address; ErrNoLog if it does not.
func (c *Client) TaskLog(ctx context.Context, address, id string) ([]byte, error) {
	return c.action(ctx, address, actionTaskLog, taskLogRequest{header{wireFormat}, id})
}

// act gives a JSON question and reads a JSON reply; nil: there is none.
func (c *Client) act(ctx context.Context, address, action string, request, reply any) error {
	body, err := c.action(ctx, address, action, request)
	if err != nil {
		return err
	}
	if reply == nil {
		return nil
	}
	if err := decode("the answer of "+address, body, reply); err != nil {
		return malformed("%v", err)
	}
	return nil
}

func (c *Client) action(ctx context.Context, address, action string, request any) (body []byte, err error) {
	defer c.measure(actionNames[action], time.Now(), &err)
	text, err := encodeAction("a question for "+address, request)
	if err != nil {
		return nil, err
	}
	err = c.call(ctx, address, func(ctx context.Context, service flight.FlightServiceClient, alive func()) error {
		stream, err := service.DoAction(ctx, &flight.Action{Type: action, Body: text})
		if err != nil {
			return err
		}
		in := &watched[*flight.Result]{stream, alive}
		for {
			result, err := in.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if body = append(body, result.GetBody()...); len(body) > c.options.MaxMessageBytes {
				return malformed("the answer has more than %d bytes", c.options.MaxMessageBytes)
			}
		}
	})
	return body, err
}

func (c *Client) measure(kind string, begun time.Time, err *error) {
	c.metrics.done(kind, begun, *err)
}

// watched tells of every message that comes.
type watched[T any] struct {
	from  interface{ Recv() (T, error) }
	alive func()
}

func (w *watched[T]) Recv() (T, error) {
	w.alive()
	m, err := w.from.Recv()
	w.alive()
	return m, err
}
