package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"drumlin/catalog"
	"drumlin/catalog/etcdkv"
	"drumlin/internal/config"
)

// server is a node whose etcd, brokers and object store are processes of their own.
type server struct{ *node }

// RunServer runs the configured roles until ctx ends, then stops in order. The configuration must be valid. What it needs may
// come up later: until then it waits, and its HTTP interface answers 503 with the reason.
func RunServer(ctx context.Context, c config.Server, world World) error {
	if err := c.Validate(); err != nil {
		return err
	}
	s := &server{node: newNode(c, world)}
	for _, warning := range c.Warnings() {
		world.Logger.Warn(warning)
	}
	return s.run(ctx,
		s.startListener, s.listenFlight, s.startDirectories, s.openObjects, s.startEtcd, s.startKafka, s.startConsumer, s.startPeers, s.startQuery,
		s.startCompaction, s.makeCoordinator, s.startFlight, s.runCoordinator, s.startHTTP, s.announce)
}

// startDirectories names the node and makes its directories: each node has its own, so that processes of one machine can be
// given the same ones.
func (s *server) startDirectories(context.Context) error {
	var err error
	if s.id, err = s.config.NodeID(s.httpAddress); err != nil {
		return err
	}
	name := directoryName(s.id)
	s.cacheDir, s.spillDir = filepath.Join(s.config.Cache.Dir, name), filepath.Join(s.config.Spill.Dir, name)
	for _, dir := range []string{s.cacheDir, s.spillDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make a directory of this node: %w", err)
		}
	}
	return nil
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func directoryName(id string) string {
	return strings.TrimLeft(notInNames.ReplaceAllString(id, "_"), ".")
}

// startEtcd connects to etcd and opens the catalog, as soon as etcd answers.
func (s *server) startEtcd(ctx context.Context) error {
	c := s.config.Etcd
	certificates, err := s.clientTLS("etcd.tls", c.TLS)
	if err != nil {
		return err
	}
	kv, err := etcdkv.Open(etcdkv.Options{
		Endpoints: c.Endpoints, Prefix: c.Prefix, DialTimeout: c.DialTimeout, TLS: certificates,
		Username: c.Username, Password: c.Password.Reveal(),
	})
	if err != nil {
		return err
	}
	s.running.started("etcd client", func(context.Context) error { return kv.Close() })
	return s.until(ctx, "etcd at "+strings.Join(c.Endpoints, ", "), func(ctx context.Context) error { return s.openCatalog(ctx, kv) },
		func(err error) bool {
			return errors.Is(err, catalog.ErrKVRefused) || errors.Is(err, catalog.ErrFormat) || errors.Is(err, catalog.ErrCorrupt) || errors.Is(err, catalog.ErrInvalid)
		})
}

func (s *server) announce(context.Context) error {
	flight := s.flightAddress
	if flight == "" {
		flight = "none: this process has no hot rows and runs no tasks"
	}
	_, err := fmt.Fprintf(s.world.Out, `drumlin server runs %s as node %s, version %s
  HTTP    %s
  Flight  %s
  etcd    %s (%s)
  objects %s
Stop with Ctrl-C: what is hot is handed off first.
`, strings.Join(s.config.Roles, ", "), s.id, s.world.Version, s.httpURL(), flight, strings.Join(s.config.Etcd.Endpoints, ", "),
		s.config.Etcd.Prefix, objectsPlace(s.config.Objects))
	return err
}

func (s *server) httpURL() string {
	if s.config.HTTP.TLS.CertFile != "" {
		return "https://" + s.httpAddress
	}
	return "http://" + s.httpAddress
}
