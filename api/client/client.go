package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"drumlin/internal/secure"
)

// Options say who the client is and whom it trusts.
type Options struct {
	Token secure.Secret // sent with every request; empty: none
	TLS   *tls.Config   // for https; nil: the system's authorities and no certificate of one's own
}

// Client speaks to one server. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token secure.Secret
	http  *http.Client
}

// dialTimeout is how long a server may take to accept a connection. Answers have no limit but the caller's context.
const dialTimeout = 5 * time.Second

// New returns a client of the server at the URL. A bare host:port is taken for https where Options.TLS is given, else for
// http.
func New(server string, o Options) (*Client, error) {
	if !strings.Contains(server, "://") {
		scheme := "http://"
		if o.TLS != nil {
			scheme = "https://"
		}
		server = scheme + server
	}
	base, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("the server's URL %q cannot be parsed: %w", server, err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("the server's URL %q must look like http://127.0.0.1:8888", server)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return &Client{base: base, token: o.Token, http: &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: dialTimeout,
			TLSClientConfig:     o.TLS,
			IdleConnTimeout:     30 * time.Second,
		},
		// A server of ours never sends elsewhere, and a token must not follow whoever does.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Exposed says that a token is sent where others can read it: without TLS to another machine.
func (c *Client) Exposed() bool {
	if c.token == "" || c.base.Scheme != "http" {
		return false
	}
	host := c.base.Hostname()
	ip := net.ParseIP(host)
	return !strings.EqualFold(host, "localhost") && (ip == nil || !ip.IsLoopback())
}

// URL is the server's, without what may be secret in it.
func (c *Client) URL() string { return c.base.Redacted() }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends a request. The answer's status is 2xx; the caller closes its body.
func (c *Client) do(ctx context.Context, method, contentType string, body []byte, parts ...string) (*http.Response, error) {
	target := c.base.JoinPath(parts...)
	return c.send(ctx, method, target, contentType, body)
}

func (c *Client) send(ctx context.Context, method string, target *url.URL, contentType string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a request to %s: %w", target.Redacted(), err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	if err != nil {
		return nil, fmt.Errorf("the server answered %s, and its message was cut off: %w", resp.Status, err)
	}
	return nil, errorOf(resp.StatusCode, text)
}

// transportError tells a caller's own end from a server that does not answer.
func (c *Client) transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &Unreachable{URL: c.base.Redacted(), Err: err}
}

// readJSON reads the whole answer into the value and closes it.
func readJSON(resp *http.Response, into any) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return &Truncated{Err: err}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the server's answer cannot be read (is it a Drumlin server?): %w", err)
	}
	return nil
}
