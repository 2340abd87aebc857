package app

import (
	"context"
	"errors"
	"fmt"
	"net"

	"drumlin/internal/config"
	"drumlin/peer"
	"drumlin/query"
)

// listenFlight takes the port on which other processes ask this one, where it has something to tell: hot rows, or the logs of
// its tasks. A port that is in use, and a certificate that cannot be read, are told before anything is waited for.
func (n *node) listenFlight(context.Context) error {
	if !n.has(config.RoleIngest) && !n.has(config.RoleCompact) {
		return nil
	}
	var err error
	if n.flightTLS, err = n.serverTLS("flight.tls", n.config.Flight.TLS); err != nil {
		return err
	}
	n.flightListener, err = net.Listen("tcp", n.config.Flight.Address)
	if err != nil {
		return fmt.Errorf("listen for other processes: %w; give another --flight HOST:PORT", err)
	}
	n.flightAddress = n.config.AdvertisedFlight(n.flightListener.Addr().String())
	n.running.started("flight listener", func(context.Context) error {
		if err := n.flightListener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// startPeers makes what asks other processes.
func (n *node) startPeers(context.Context) error {
	certificates, err := n.clientTLS("flight.clientTLS", n.config.Flight.ClientTLS)
	if err != nil {
		return err
	}
	n.peerClient, err = peer.NewClient(peer.ClientOptions{
		TLS: certificates, Token: n.config.Access.PeerToken, AllowPlainToken: n.config.Flight.AllowPlainToken,
		Cluster: n.catalog.Incarnation(), MaxHotBytes: int64(n.config.Query.MaxHotBytes),
		HotCacheBytes: int64(min(n.config.Query.HotCacheBytes, n.config.Query.MaxHotBytes/2)), Logger: n.world.Logger, Registerer: n.registry,
	})
	if err != nil {
		return err
	}
	n.running.started("peer client", func(context.Context) error { n.peerClient.Close(); return nil })
	o := peer.RouterOptions{Views: n.catalog, Node: n.id, Client: n.peerClient}
	if n.consumer != nil {
		o.Local = n.consumer
	}
	n.peers = peer.NewRouter(o)
	return nil
}

// startFlight answers other processes.
func (n *node) startFlight(context.Context) error {
	if n.flightListener == nil {
		return nil
	}
	access, err := n.config.Access.PeerAccess()
	if err != nil {
		return err
	}
	o := peer.ServerOptions{
		Logs: n.cluster, TLS: n.flightTLS, Access: access, Cluster: n.catalog.Incarnation(), Logger: n.world.Logger, Registerer: n.registry,
	}
	if n.consumer != nil {
		o.Local = n.consumer
	}
	server, err := peer.NewServer(o)
	if err != nil {
		return err
	}
	wait := n.watch("answer other processes on "+n.flightListener.Addr().String(), func() error { return server.Serve(n.flightListener) })
	n.running.started("flight", func(ctx context.Context) error {
		server.Close(ctx)
		wait()
		return nil
	})
	return nil
}

// hot is where queries find hot rows: in this process, or at their owners.
func (n *node) hot() query.HotSource {
	if n.peers == nil {
		return n.consumer
	}
	return n.peers
}
