package s3_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"drumlin/internal/secure"
	"drumlin/internal/testkit"
	"drumlin/objectstore"
	"drumlin/objectstore/objectstoretest"
	"drumlin/objectstore/s3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func put(ctx context.Context, s *s3.Store, key, content string) error {
	return s.Put(ctx, key, strings.NewReader(content), int64(len(content)), objectstoretest.Sum([]byte(content)))
}

func mustPut(t *testing.T, s *s3.Store, key, content string) {
	t.Helper()
	if err := put(t.Context(), s, key, content); err != nil {
		t.Fatal(err)
	}
}

func get(ctx context.Context, s *s3.Store, key string, offset, length int64) (string, error) {
	r, err := s.Get(ctx, key, offset, length)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(r)
	return string(content), errors.Join(err, r.Close())
}

func wantContent(t *testing.T, s *s3.Store, key, want string) {
	t.Helper()
	if got, err := get(t.Context(), s, key, 0, -1); err != nil || got != want {
		t.Errorf("get %q: %d bytes, %v; want %d bytes", key, len(got), err, len(want))
	}
}

func wantMissing(t *testing.T, s *s3.Store, key string) {
	t.Helper()
	if info, err := s.Head(t.Context(), key); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("head %q: %+v, %v; want none", key, info, err)
	}
}

func TestContract(t *testing.T) {
	g := startGateway(t)
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return openStore(t, g.options(g.endpoint)) })
}

func TestContractWithoutAPrefixInTheBucket(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store {
		g := startGateway(t)
		o := g.options(g.endpoint)
		o.Prefix = ""
		return openStore(t, o)
	}, "ConcurrentPutsOfOneKey", "ReadersSeeWholeObjects", "PutsBesideDeletes", "SamePutsAtOnce", "ListsBesideChanges",
		"LargeObjects", "DeletesBesideReaders", "ReadersAreClosedEarly", "CancelledInTheMiddle") // the same with a prefix
}

func TestProbeOfTheGateway(t *testing.T) {
	g := startGateway(t)
	o := g.options(g.endpoint)
	s := openStore(t, o)
	support, err := s.Probe(t.Context())
	if err != nil || support.String() != "everything is supported" {
		t.Errorf("%s, %v", support, err)
	}
	if left, err := filepath.Glob(filepath.Join(g.dir, testBucket, o.Prefix, ".probe", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("the probe left %q, %v", left, err)
	}
}

func TestProbeTellsWhatIsWrong(t *testing.T) {
	g := startGateway(t)
	for _, test := range []struct {
		name, want string
		change     func(*s3.Options)
	}{
		{"no bucket", "there is no such bucket", func(o *s3.Options) { o.Bucket = "other" }},
		{"wrong secret", "does not let this access key use the bucket", func(o *s3.Options) { o.SecretAccessKey = "wrong-secret-nobody-may-see" }},
		{"nobody there", "connection refused", func(o *s3.Options) { o.Endpoint = "http://" + testkit.FreeAddress(t) }},
	} {
		o := g.options(g.endpoint)
		test.change(&o)
		_, err := openStore(t, o).Probe(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "s3://"+o.Bucket) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestListsOverPages puts more objects than one page of a list has where the gateway keeps them.
func TestListsOverPages(t *testing.T) {
	g := startGateway(t)
	o := g.options(g.endpoint)
	dir := filepath.Join(g.dir, testBucket, o.Prefix, "d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const objects = 2500
	for i := range objects {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d", i)), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, o)
	n := 0
	err := s.List(t.Context(), "d/", func(info objectstore.Info) bool {
		if want := fmt.Sprintf("d/%04d", n); info.Key != want || info.Bytes != 1 {
			t.Errorf("object %d is %+v", n, info)
		}
		n++
		return true
	})
	if err != nil || n != objects {
		t.Errorf("%d objects, %v", n, err)
	}
}

// TestObjectsOfOthers: an object without this store's metadata is compared by its content, and one whose key is none here
// is not listed.
func TestObjectsOfOthers(t *testing.T) {
	g := startGateway(t)
	o := g.options(g.endpoint)
	dir := filepath.Join(g.dir, testBucket, o.Prefix)
	if err := os.MkdirAll(filepath.Join(dir, ".hidden"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"theirs", ".hidden/k", "back\\slash"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, o)
	mustPut(t, s, "theirs", "content")
	if err := put(t.Context(), s, "theirs", "CONTENT"); !errors.Is(err, objectstore.ErrExists) {
		t.Errorf("put of other content: %v", err)
	}
	var keys []string
	if err := s.List(t.Context(), "", func(i objectstore.Info) bool { keys = append(keys, i.Key); return true }); err != nil || fmt.Sprint(keys) != "[theirs]" {
		t.Errorf("list: %q, %v", keys, err)
	}
}

func TestTLS(t *testing.T) {
	g := startGateway(t)
	upstream, err := url.Parse(g.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(upstream)
		r.Out.Host = r.In.Host
	}})
	proxy.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // a client that does not trust it
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(proxy.Certificate())
	o := g.options(proxy.URL)
	o.TLS = &tls.Config{RootCAs: trusted}
	s := openStore(t, o)
	if support, err := s.Probe(t.Context()); err != nil || support.String() != "everything is supported" {
		t.Errorf("%s, %v", support, err)
	}
	large := strings.Repeat("large", 2<<20)
	mustPut(t, s, "k", large)
	wantContent(t, s, "k", large)
	o.TLS, o.MaxAttempts = nil, 2
	if err := put(t.Context(), openStore(t, o), "other", "x"); err == nil || errors.Is(err, objectstore.ErrUnknown) {
		t.Errorf("put without trust in the certificate: %v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	g := startGateway(t)
	var logged bytes.Buffer
	o := g.options(g.endpoint)
	o.SecretAccessKey, o.SessionToken = "wrong-secret-nobody-may-see", "token-nobody-may-see"
	o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := openStore(t, o)
	_, probeErr := s.Probe(t.Context())
	_, getErr := s.Get(t.Context(), "k", 0, -1)
	for _, err := range []error{put(t.Context(), s, "k", "x"), probeErr, getErr, s.Delete(t.Context(), "k")} {
		if err == nil || errors.Is(err, objectstore.ErrUnknown) || errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("with a wrong secret: %v", err)
		}
		fmt.Fprintf(&logged, "%v %+v\n", err, err)
	}
	fmt.Fprintf(&logged, "%v %+v %#v\n", o, o, o)
	if text := logged.String(); strings.Contains(text, "nobody-may-see") {
		t.Errorf("a secret is shown: %s", text)
	}
	o.Endpoint = "http://user:password-nobody-may-see@127.0.0.1:1/"
	if _, err := s3.Open(t.Context(), o); err == nil || strings.Contains(err.Error(), "nobody-may-see") {
		t.Errorf("an endpoint with a password: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	g := startGateway(t)
	registry := prometheus.NewRegistry()
	o := g.options(g.endpoint)
	o.Registerer = registry
	s := openStore(t, o)
	mustPut(t, s, "k", "content")
	wantContent(t, s, "k", "content")
	wantMissing(t, s, "other")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.Metric {
			name := strings.TrimPrefix(family.GetName(), "drumlin_objectstore_")
			for _, label := range metric.Label {
				name += " " + label.GetValue()
			}
			got[name] = metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"requests_total ok put": 1, "requests_total ok get": 1, "requests_total not_found head": 1,
		"read_bytes_total": 7, "written_bytes_total": 7, "request_seconds put": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v; there are %v", name, got[name], want, got)
		}
	}
}

// TestTheChainNamesTheCredentials: without keys in the options the environment's are used.
func TestTheChainNamesTheCredentials(t *testing.T) {
	g := startGateway(t)
	t.Setenv("AWS_ACCESS_KEY_ID", testID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	o := g.options(g.endpoint)
	o.AccessKeyID, o.SecretAccessKey = "", ""
	s := openStore(t, o)
	mustPut(t, s, "k", "content")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	began := time.Now()
	if err := put(t.Context(), openStore(t, o), "k", "content"); err == nil || errors.Is(err, objectstore.ErrUnknown) || time.Since(began) > 5*time.Second {
		t.Errorf("put without credentials: %v after %s", err, time.Since(began))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(*s3.Options)
	}{
		{"bucket", func(o *s3.Options) { o.Bucket = "" }},
		{"bucket", func(o *s3.Options) { o.Bucket = "b/prefix" }},
		{"prefix", func(o *s3.Options) { o.Prefix = "../other" }},
		{"endpoint", func(o *s3.Options) { o.Endpoint = "minio:9000" }},
		{"endpoint", func(o *s3.Options) { o.Endpoint = "ftp://minio" }},
		{"access key", func(o *s3.Options) { o.SecretAccessKey = "" }},
		{"access key", func(o *s3.Options) { o.AccessKeyID, o.SecretAccessKey, o.SessionToken = "", "", "x" }},
		{"attempts", func(o *s3.Options) { o.MaxAttempts = -1 }},
		{"timeout", func(o *s3.Options) { o.RequestTimeout = -1 }},
		{"parts", func(o *s3.Options) { o.PartBytes = 1 << 20 }},
		{"at the same time", func(o *s3.Options) { o.Concurrency = 1000 }},
	} {
		o := s3.Options{Bucket: "b", Endpoint: "http://127.0.0.1:1", AccessKeyID: "id", SecretAccessKey: secure.Secret("secret")}
		test.change(&o)
		if _, err := s3.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.want, err)
		}
	}
}
