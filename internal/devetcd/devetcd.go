package devetcd

import (
	"context"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// quotaBytes bounds the database: far above what dev needs, far below what hurts a laptop.
const quotaBytes = 1 << 30

// Server is a running member. It owns its goroutines until Close.
type Server struct {
	etcd *embed.Etcd
}

// Start opens the data directory and returns once the member serves requests, or the context ends.
func Start(ctx context.Context, dataDir string) (*Server, error) {
	cfg := embed.NewConfig()
	cfg.Name = "drumlin-dev"
	cfg.Dir = dataDir
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.QuotaBackendBytes = quotaBytes
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = "10m"
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = loopback, loopback
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = loopback, loopback
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start the embedded etcd with data in %s: %w", dataDir, err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return &Server{etcd: etcd}, nil
	case err := <-etcd.Err():
		etcd.Close()
		return nil, fmt.Errorf("start the embedded etcd with data in %s: %w", dataDir, err)
	case <-ctx.Done():
		etcd.Close()
		return nil, fmt.Errorf("start the embedded etcd with data in %s: %w", dataDir, ctx.Err())
	}
}

// Endpoint is the host:port that clients connect to.
func (s *Server) Endpoint() string { return s.etcd.Clients[0].Addr().String() }

// Err reports the failure that stopped the member, if any does.
func (s *Server) Err() <-chan error { return s.etcd.Err() }

// Close stops the member.
func (s *Server) Close() { s.etcd.Close() }
