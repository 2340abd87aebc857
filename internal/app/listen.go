package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"drumlin/api"
	"drumlin/internal/config"
	"drumlin/internal/secure"
)

// startListener takes the port first: a port that is in use is told before anything else begins. Until startHTTP every
// request is answered with 503.
func (n *node) startListener(context.Context) error {
	listener, err := net.Listen("tcp", n.config.HTTP.Address)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w; give another --http HOST:PORT", err)
	}
	certificate, err := n.serverTLS("http.tls", n.config.HTTP.TLS)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := api.NewServer(n.gate, n.world.Logger)
	server.BaseContext = func(net.Listener) context.Context { return n.gate.requests }
	address := listener.Addr()
	n.httpAddress = n.config.AdvertisedHTTP(address.String())
	n.gate.loopback = certificate == nil && api.LoopbackOnly(address)
	if certificate != nil {
		listener = tls.NewListener(listener, withHTTP2(certificate))
	}
	wait := n.watch("serve HTTP on "+address.String(), func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	n.gate.server = server
	n.running.started("listener", func(context.Context) error {
		err := server.Close()
		wait()
		return err
	})
	return nil
}

func withHTTP2(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = append(c.NextProtos, "http/1.1")
	return c
}

// serverTLS reads a listener's certificate; nil: plain. Certificates that change later and cannot be read are logged, and the
// former ones stay in use.
func (n *node) serverTLS(path string, c config.ServerTLS) (*tls.Config, error) {
	out, err := secure.ServerTLS(c).ConfigReporting(n.reportTLS(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

func (n *node) clientTLS(path string, c config.ClientTLS) (*tls.Config, error) {
	out, err := secure.ClientTLS(c).ConfigReporting(n.reportTLS(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

func (n *node) reportTLS(path string) func(error) {
	return func(err error) {
		n.world.Logger.Error("changed TLS files cannot be used; the former ones stay in use", "config", path, "error", err)
	}
}
