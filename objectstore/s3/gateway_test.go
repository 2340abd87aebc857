package s3_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"drumlin/internal/secure"
	"drumlin/internal/testkit"
	"drumlin/objectstore/s3"
)

const (
	testBucket = "drumlin"
	testID     = "test-id"
	testSecret = "test-secret-that-no-message-may-show"
)

// gateway is a versitygw of a test's own.
type gateway struct {
	endpoint string
	dir      string // of the buckets
}

// startGateway starts a gateway with one bucket on a free port, and stops it at the test's end.
func startGateway(t *testing.T) *gateway {
	t.Helper()
	binary := testkit.Part(t, "versitygw")
	g := &gateway{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(g.dir, testBucket), 0o755); err != nil {
		t.Fatal(err)
	}
	address := testkit.FreeAddress(t)
	g.endpoint = "http://" + address
	var output bytes.Buffer
	cmd := exec.Command(binary, "--port", address, "--keep-alive", "--quiet", "posix", g.dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+testID, "ROOT_SECRET_ACCESS_KEY="+testSecret)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("versitygw said: %s", output.Bytes())
		}
	})
	waitForHTTP(t, g.endpoint, ended)
	return g
}

// waitForHTTP waits until the endpoint answers anything.
func waitForHTTP(t *testing.T, endpoint string, ended <-chan struct{}) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for deadline := time.Now().Add(time.Minute); ; {
		reply, err := client.Get(endpoint)
		if err == nil {
			reply.Body.Close()
			return
		}
		select {
		case <-ended:
			t.Fatal("versitygw ended at its start")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("versitygw does not answer: %v", err)
		}
	}
}

// options are those of a store below a prefix of its own.
func (g *gateway) options(endpoint string) s3.Options {
	var random [6]byte
	rand.Read(random[:])
	return s3.Options{
		Bucket: testBucket, Prefix: "p/" + hex.EncodeToString(random[:]), Endpoint: endpoint, PathStyle: true,
		AccessKeyID: testID, SecretAccessKey: secure.Secret(testSecret), PartBytes: 5 << 20, RequestTimeout: 5 * time.Second,
	}
}

func openStore(t *testing.T, o s3.Options) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
