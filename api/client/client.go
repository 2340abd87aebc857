package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client speaks to one server. It is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
}

// dialTimeout is how long a server may take to accept a connection. Answers have no limit but the caller's context.
const dialTimeout = 5 * time.Second

// New returns a client of the server at the URL. A bare host:port is taken for http.
func New(server string) (*Client, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	base, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("the server's URL %q cannot be parsed: %w", server, err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("the server's URL %q must look like http://127.0.0.1:8888", server)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return &Client{base: base, http: &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     30 * time.Second,
	}}}, nil
}

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
