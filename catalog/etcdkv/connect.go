package etcdkv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// A connection that is silent is asked after silence (gRPC allows no less), and given up pingTimeout later. A member that
// hangs holds up requests for no longer than both, and each for no longer than its timeout; where a connection has been
// unused before, pingTimeout is all it takes.
const (
	silence     = 10 * time.Second
	pingTimeout = 2 * time.Second
	// reconnectMost bounds the pause between attempts to reach a member that is away: by default it would grow to minutes.
	reconnectMost = 2 * time.Second
)

// anyToken stands for the token that the client does not have yet; see connect.
const anyToken = "none"

// check says what is wrong with the options, and fills in defaults.
func (o *Options) check() error {
	if strings.Trim(o.Prefix, "/") == "" || len(o.Endpoints) == 0 {
		return errors.New("open etcd: endpoints and a prefix for the keys are needed")
	}
	if (o.Username == "") != (o.Password == "") {
		return errors.New("open etcd: a user needs a password, and a password a user")
	}
	schemes := map[string]bool{}
	for _, endpoint := range o.Endpoints {
		scheme, host, ok := strings.Cut(endpoint, "://")
		if !ok {
			scheme, host = "", endpoint
		}
		if host == "" || scheme != "" && scheme != "http" && scheme != "https" {
			return fmt.Errorf("open etcd: the endpoint %q must look like https://etcd-1:2379, or host:port", endpoint)
		}
		if scheme == "http" && o.TLS != nil {
			return fmt.Errorf("open etcd: TLS is configured, and the endpoint %q would be spoken to without", endpoint)
		}
		schemes[scheme] = true
	}
	if len(schemes) > 1 {
		return fmt.Errorf("open etcd: the endpoints %s must all have the same scheme", strings.Join(o.Endpoints, ", "))
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 5 * time.Second
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 4 * time.Second
	}
	if o.PageKeys == 0 {
		o.PageKeys = 500
	}
	return nil
}

// connect makes the client, and asks nobody yet. With a user, clientv3.New would ask for a token at once and fail where
// etcd is not there yet; a token that is given it takes as it is. The first request is then refused for that token, which
// makes the client get a real one, as it does whenever one has expired.
func connect(o Options) (*clientv3.Client, error) {
	config := clientv3.Config{
		Endpoints: o.Endpoints, DialTimeout: o.DialTimeout, TLS: o.TLS, Logger: zap.NewNop(),
		DialKeepAliveTime: silence, DialKeepAliveTimeout: pingTimeout,
		DialOptions: []grpc.DialOption{
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectMost},
				MinConnectTimeout: o.DialTimeout,
			}),
			grpc.WithChainUnaryInterceptor(follow),
		},
	}
	if o.Username != "" {
		config.Token = anyToken
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("open etcd at %s: %w", strings.Join(o.Endpoints, ", "), err)
	}
	if o.Username != "" {
		client.Token, client.Username, client.Password = "", o.Username, o.Password
	}
	return client, nil
}

// trace is what became of the attempts of one request.
type trace struct {
	sent bool  // some attempt had a stream to a member: without one, a request has certainly not taken effect
	last error // of the newest attempt; it tells more than the error of the request that ran out of time
}

type traceKey struct{}

// traced bounds a request and lets follow what becomes of it.
func traced(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc, *trace) {
	t := &trace{}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, traceKey{}, t), timeout)
	return ctx, cancel, t
}

// follow fills in the trace that the context carries. It sees every attempt, since the client's own retries lie outside of it.
func follow(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	t, ok := ctx.Value(traceKey{}).(*trace)
	if !ok {
		return invoke(ctx, method, req, reply, conn, opts...)
	}
	var member peer.Peer
	t.last = invoke(ctx, method, req, reply, conn, append(opts, grpc.Peer(&member))...)
	if member.Addr != nil {
		t.sent = true
	}
	return t.last
}

// unreached says why no member took a request that failed; nil: one took it.
func (t *trace) unreached() error {
	if t.sent || t.last == nil {
		return nil
	}
	return errors.New(status.Convert(t.last).Message())
}
