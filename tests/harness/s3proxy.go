package harness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// S3Rules say how an S3Proxy troubles requests. The zero value troubles none. The first rule of this order that applies to a
// request decides about it.
type S3Rules struct {
	// Match says which requests the rules are for; nil: all. It may be called at the same time for several requests.
	Match func(*http.Request) bool
	// Down closes the connection of every request.
	Down bool
	// Stall holds requests until the rules change or the client is gone.
	Stall bool
	// FailShare, 0 to 1, is the share of requests that are answered with 503 SlowDown or 500 InternalError by turns of chance.
	FailShare float64
	// Status answers every request with this status, and Code as the error's code.
	Status int
	Code   string
	// CutUploads passes half of the content on and then breaks both connections.
	CutUploads bool
	// TruncateUploads passes half of the content on as if it were all. It needs Sign.
	TruncateUploads bool
	// WithoutHeaders are taken away from requests, as by a service that does not know them. It needs Sign.
	WithoutHeaders []string
	// DropReplies passes changes on and closes the connection instead of passing the reply back.
	DropReplies bool
	// CutDownloads passes half of an object's content back and closes the connection.
	CutDownloads bool
	// StallDownloads passes half of an object's content back and holds the rest until the client is gone.
	StallDownloads bool
	// Sign signs changed requests anew.
	Sign aws.Credentials
}

// S3Proxy is an HTTP proxy before an S3 server, which makes the trouble that its rules say.
type S3Proxy struct {
	upstream  *url.URL
	server    *http.Server
	listener  net.Listener
	transport *http.Transport
	running   sync.WaitGroup
	requests  atomic.Int64
	troubled  atomic.Int64

	mu      sync.Mutex
	closed  bool
	rules   S3Rules
	changed chan struct{} // closed when the rules change
}

// NewS3Proxy starts a proxy before the upstream, a URL or host:port, on a free loopback port, and ends it with the test.
func NewS3Proxy(t testing.TB, upstream string) *S3Proxy {
	t.Helper()
	if !strings.Contains(upstream, "://") {
		upstream = "http://" + upstream
	}
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatalf("the S3 proxy's upstream: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for the S3 proxy: %v", err)
	}
	p := &S3Proxy{
		upstream: target, listener: listener, changed: make(chan struct{}),
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, ExpectContinueTimeout: time.Second},
	}
	p.server = &http.Server{Handler: http.HandlerFunc(p.handle)}
	p.running.Go(func() {
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the S3 proxy ended: %v", err)
		}
	})
	t.Cleanup(p.close)
	return p
}

// close ends all connections, and waits for what ran.
func (p *S3Proxy) close() {
	p.server.Close()
	p.mu.Lock()
	p.closed = true // no request begins any more
	p.mu.Unlock()
	p.SetRules(S3Rules{Down: true}) // lets go what is held
	p.running.Wait()
	p.transport.CloseIdleConnections()
}

// Address is where the proxy listens: host:port.
func (p *S3Proxy) Address() string { return p.listener.Addr().String() }

// URL is the endpoint for S3 clients.
func (p *S3Proxy) URL() string { return "http://" + p.Address() }

// SetRules puts other rules in force, for requests that come from now on and for those that are held.
func (p *S3Proxy) SetRules(rules S3Rules) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = rules
	close(p.changed)
	p.changed = make(chan struct{})
}

// Requests is how many requests have come.
func (p *S3Proxy) Requests() int64 { return p.requests.Load() }

// Troubled is how many requests the rules have troubled.
func (p *S3Proxy) Troubled() int64 { return p.troubled.Load() }

func (p *S3Proxy) current() (S3Rules, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules, p.changed
}

func (p *S3Proxy) handle(w http.ResponseWriter, r *http.Request) {
	if !p.begin() {
		panic(http.ErrAbortHandler)
	}
	defer p.running.Done()
	rules, changed := p.current()
	matches := rules.matches(r) // asked once: it may count
	for held := false; matches && rules.Stall && !rules.Down; held = true {
		if !held {
			p.troubled.Add(1)
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		rules, changed = p.current()
		matches = rules.matches(r)
	}
	if !matches {
		rules = S3Rules{}
	}
	if p.trouble(w, r, rules) {
		p.troubled.Add(1)
	}
}

// begin counts a request as one that runs, unless the proxy is closed.
func (p *S3Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running.Add(1)
	p.requests.Add(1)
	return true
}

func (rules S3Rules) matches(r *http.Request) bool { return rules.Match == nil || rules.Match(r) }

// trouble does what the rules say, and tells whether that was anything.
func (p *S3Proxy) trouble(w http.ResponseWriter, r *http.Request, rules S3Rules) bool {
	switch {
	case rules.Down:
		p.troubled.Add(1)
		panic(http.ErrAbortHandler)
	case rules.FailShare > 0 && rand.Float64() < rules.FailShare:
		if rand.IntN(2) == 0 {
			answer(w, r, http.StatusServiceUnavailable, "SlowDown")
		} else {
			answer(w, r, http.StatusInternalServerError, "InternalError")
		}
		return true
	case rules.Status != 0:
		answer(w, r, rules.Status, rules.Code)
		return true
	}
	return p.pass(w, r, rules)
}

// answer is the proxy's own reply: an error of S3.
func answer(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>the proxy says so</Message></Error>`, code)
	}
}

// pass sends the request on, changed as the rules say, and passes the reply back. It tells whether it changed anything.
func (p *S3Proxy) pass(w http.ResponseWriter, r *http.Request, rules S3Rules) bool {
	out, changed, err := p.outgoing(r, rules)
	if err != nil {
		answer(w, r, http.StatusBadGateway, "ProxyCannotRead")
		return true
	}
	cut := rules.CutUploads && r.ContentLength > 1
	if cut {
		out.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, r.ContentLength/2), brokenReader{}))
	}
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	lost := cut || rules.DropReplies && changes
	if lost {
		p.troubled.Add(1)
	}
	reply, err := p.transport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler) // the server is gone, or was made to seem so
	}
	defer reply.Body.Close()
	if lost {
		io.Copy(io.Discard, reply.Body)
		panic(http.ErrAbortHandler)
	}
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(reply.StatusCode)
	if (rules.CutDownloads || rules.StallDownloads) && isDownload(r) && reply.ContentLength > 1 {
		p.half(w, r, reply, rules)
	}
	if _, err := io.Copy(w, reply.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	return changed
}

// half passes half of a reply back, and never more.
func (p *S3Proxy) half(w http.ResponseWriter, r *http.Request, reply *http.Response, rules S3Rules) {
	p.troubled.Add(1)
	_, changed := p.current()
	if _, err := io.CopyN(w, reply.Body, (reply.ContentLength+1)/2); err == nil {
		err = http.NewResponseController(w).Flush()
		if err == nil && rules.StallDownloads {
			select {
			case <-changed:
			case <-r.Context().Done():
			}
		}
	}
	panic(http.ErrAbortHandler)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("cut by the proxy") }

// isDownload tells an object's content from a list.
func isDownload(r *http.Request) bool {
	return r.Method == http.MethodGet && !r.URL.Query().Has("list-type") && strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0
}

// outgoing is the request to the server.
func (p *S3Proxy) outgoing(r *http.Request, rules S3Rules) (out *http.Request, changed bool, err error) {
	out = r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.upstream.Scheme, p.upstream.Host
	if r.ContentLength == 0 {
		out.Body = nil
	}
	truncate := rules.TruncateUploads && r.Method == http.MethodPut && r.ContentLength > 1
	strip := slices.ContainsFunc(rules.WithoutHeaders, func(name string) bool { return r.Header.Get(name) != "" })
	if !truncate && !strip {
		return out, false, nil
	}
	for _, name := range rules.WithoutHeaders {
		out.Header.Del(name)
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, false, err
	}
	if truncate {
		content = content[:len(content)/2]
		out.Header.Del("X-Amz-Checksum-Sha256")
	}
	return out, true, resign(r.Context(), out, content, rules.Sign)
}

// resign gives the request this content and a signature over it.
func resign(ctx context.Context, out *http.Request, content []byte, credentials aws.Credentials) error {
	sum := sha256.Sum256(content)
	hexSum := hex.EncodeToString(sum[:])
	out.Body, out.ContentLength = nil, int64(len(content))
	if len(content) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(content))
	}
	out.Header.Set("Content-Length", strconv.Itoa(len(content)))
	out.Header.Set("X-Amz-Content-Sha256", hexSum)
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
		out.Header.Del(name)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	return signer.SignHTTP(ctx, credentials, out, hexSum, "s3", "us-east-1", time.Now())
}
