package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/internal/secure"
	"drumlin/segment"
)

// Local is what this process itself knows and does; *consumer.Manager has it.
type Local interface {
	Hot(ctx context.Context, r segment.HotRequest) (*segment.HotRows, error)
	Status(key catalog.PartitionKey) (consumer.PartitionStatus, bool)
	Handoff(ctx context.Context, key catalog.PartitionKey, upTo int64) (revision int64, err error)
	AcceptLoss(ctx context.Context, key catalog.PartitionKey, from, to int64) error
}

// TaskLogs gives the live log of a task that runs in this process, or ErrNoLog.
type TaskLogs interface {
	TaskLog(ctx context.Context, id string) ([]byte, error)
}

const (
	maxRequestBytes = 8 << 20
	maxStreams      = 1024 // of one connection
	// An asker that is gone, or does not move any more, is noticed after these two: what is being sent to it holds hot rows.
	pingSilentAskerAfter = 5 * time.Second
	askerAnswersWithin   = 5 * time.Second
	// pingsAllowedEvery is less than what clients use.
	pingsAllowedEvery = 5 * time.Second
)

// ServerOptions are what a Server stands on.
type ServerOptions struct {
	Local  Local          // nil: this process reads no partitions
	Logs   TaskLogs       // nil: no tasks run in this process
	TLS    *tls.Config    // nil: plain text
	Access *secure.Access // nil: open. Else askers need a token with the role admin
	// Cluster is the catalog's incarnation: who asks for another cluster is refused. Empty: not looked at.
	Cluster string
	// AliveEvery is how often an answer that is not ready yet shows that this process is alive. Default 500 ms.
	AliveEvery time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// Server answers other processes.
type Server struct {
	grpc *grpc.Server
	log  *slog.Logger
}

// NewServer returns a server that listens to nothing yet.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.AliveEvery == 0 {
		o.AliveEvery = 500 * time.Millisecond
	}
	if !littleEndian() {
		return nil, errors.New("peer: processes speak to each other in little-endian numbers, which this machine does not have")
	}
	m, err := newMetrics(o.Registerer, "server")
	if err != nil {
		return nil, fmt.Errorf("peer: register metrics: %w", err)
	}
	guard := &guard{access: o.Access, cluster: o.Cluster, log: o.Logger}
	options := []grpc.ServerOption{
		grpc.ChainStreamInterceptor(guard.stream), grpc.ChainUnaryInterceptor(guard.unary),
		grpc.MaxRecvMsgSize(maxRequestBytes), grpc.MaxConcurrentStreams(maxStreams), grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingSilentAskerAfter, Timeout: askerAnswersWithin}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsAllowedEvery, PermitWithoutStream: true}),
	}
	if o.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(o.TLS)))
	}
	s := &Server{grpc: grpc.NewServer(options...), log: o.Logger}
	flight.RegisterFlightServiceServer(s.grpc, &service{
		local: o.Local, logs: o.Logs, aliveEvery: o.AliveEvery, metrics: m, mem: memory.NewGoAllocator(),
	})
	grpc_health_v1.RegisterHealthServer(s.grpc, &health{})
	return s, nil
}

// Serve answers on the listener, which it closes at its end, until Close.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("answer other processes on %s: %w", l.Addr(), err)
	}
	return nil
}

// Close takes nothing new, lets what runs end within ctx, cuts off the rest, and returns when every answer has ended.
func (s *Server) Close(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.log.Info("answers to other processes are cut off: the time to stop is over")
		s.grpc.Stop()
		<-done
	}
}

// health says that the process answers. Nobody needs a token to ask.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (*health) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}
