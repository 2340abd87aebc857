package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"drumlin/internal/secure"
)

const (
	// What is lost on a connection that nobody uses is noticed after these two; gRPC pings no more often.
	pingEvery    = 10 * time.Second
	pingAnswered = 3 * time.Second
	// After a failure the next attempt to connect waits between these two.
	minBackoff, maxBackoff = 50 * time.Millisecond, time.Second

	streamWindowBytes     = 4 << 20
	connectionWindowBytes = 16 << 20
)

var errClosed = errors.New("the client has been closed")

// connection is one connection, or one that is made again and again, to an address.
type connection struct {
	address string
	conn    *grpc.ClientConn
	calls   int       // under connections.mu
	idle    time.Time // since when calls is 0
	retired bool      // nobody gets it any more; closed with its last call
}

// connections keeps one connection to each address.
type connections struct {
	options ClientOptions
	log     *slog.Logger

	mu      sync.Mutex
	current map[string]*connection
	all     map[*connection]bool // those retired, too
	closed  bool

	stop    context.CancelFunc
	sweeper sync.WaitGroup
}

func newConnections(o ClientOptions) *connections {
	ctx, cancel := context.WithCancel(context.Background())
	c := &connections{options: o, log: o.Logger, current: map[string]*connection{}, all: map[*connection]bool{}, stop: cancel}
	c.sweeper.Go(func() { c.sweep(ctx) })
	return c
}

// acquire returns the connection to the address; release follows.
func (c *connections) acquire(address string) (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, errClosed)
	}
	conn := c.current[address]
	if conn == nil {
		dialled, err := dial(address, c.options)
		if err != nil {
			return nil, err
		}
		conn = &connection{address: address, conn: dialled}
		c.current[address], c.all[conn] = conn, true
	}
	conn.calls++
	return conn, nil
}

// release ends a use. retire lets the next use begin with another connection.
func (c *connections) release(conn *connection, retire bool) {
	c.mu.Lock()
	conn.calls--
	conn.idle = time.Now()
	if retire {
		conn.retired = true
		if c.current[conn.address] == conn {
			delete(c.current, conn.address)
		}
	}
	over := conn.retired && conn.calls == 0 && c.all[conn]
	if over {
		delete(c.all, conn)
	}
	c.mu.Unlock()
	if over {
		c.hangUp(conn)
	}
}

// sweep closes connections that nobody has used for long.
func (c *connections) sweep(ctx context.Context) {
	tick := time.NewTicker(max(c.options.IdleAfter/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, conn := range c.unused(now.Add(-c.options.IdleAfter)) {
				c.hangUp(conn)
			}
		}
	}
}

// unused takes out the connections that have not been used since then.
func (c *connections) unused(since time.Time) []*connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*connection
	for address, conn := range c.current {
		if conn.calls == 0 && conn.idle.Before(since) {
			out = append(out, conn)
			delete(c.current, address)
			delete(c.all, conn)
		}
	}
	return out
}

func (c *connections) hangUp(conn *connection) {
	if err := conn.conn.Close(); err != nil {
		c.log.Debug("close a connection", "address", conn.address, "error", err)
	}
}

func (c *connections) close() {
	c.mu.Lock()
	all := c.all
	c.current, c.all, c.closed = map[string]*connection{}, map[*connection]bool{}, true
	c.mu.Unlock()
	for conn := range all {
		c.hangUp(conn)
	}
	c.stop()
	c.sweeper.Wait()
}

// dial prepares a connection; it is made with the first call.
func dial(address string, o ClientOptions) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(o.MaxMessageBytes)),
		grpc.WithInitialWindowSize(streamWindowBytes), grpc.WithInitialConnWindowSize(connectionWindowBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingAnswered, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: minBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: o.SilentAfter,
		}),
	}
	if o.TLS != nil {
		options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(o.TLS)))
	} else {
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	if o.Token != "" {
		if o.TLS == nil && !o.AllowPlainToken && !loopback(address) {
			return nil, fmt.Errorf("%w: configure TLS between the processes, or allow it for a network that nobody else is in", ErrPlainToken)
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer{token: o.Token, overTLS: o.TLS != nil}))
	}
	if o.Cluster != "" {
		options = append(options, grpc.WithPerRPCCredentials(membership(o.Cluster)))
	}
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare a connection: %w", err)
	}
	return conn, nil
}

// loopback says whether the address cannot leave this machine. A name other than localhost may be anything.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bearer puts the token on every call.
type bearer struct {
	token   secure.Secret
	overTLS bool
}

var _ credentials.PerRPCCredentials = bearer{}

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{tokenKey: tokenPrefix + b.token.Reveal()}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.overTLS }

// membership says on every call which cluster is asked. It is no secret.
type membership string

var _ credentials.PerRPCCredentials = membership("")

func (m membership) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{clusterKey: string(m)}, nil
}

func (membership) RequireTransportSecurity() bool { return false }
