package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"drumlin/objectstore"
	"drumlin/objectstore/objectstoretest"
	"drumlin/objectstore/s3"
	"drumlin/tests/harness"
)

// The services below know less than S3 does.
var poorServices = []struct {
	name    string
	rules   harness.S3Rules
	support string
}{
	{
		"no preconditions",
		harness.S3Rules{WithoutHeaders: []string{"If-None-Match", "If-Match"}, Sign: testCredentials},
		"conditional put ignored: keys are looked up first; conditional multipart ignored: keys are looked up first",
	},
	{
		"preconditions refused",
		harness.S3Rules{Status: 501, Code: "NotImplemented", Match: hasHeader("If-None-Match")},
		"conditional put refused: keys are looked up first; conditional multipart refused: keys are looked up first",
	},
	{
		"no checksums",
		harness.S3Rules{WithoutHeaders: []string{"X-Amz-Checksum-Sha256", "X-Amz-Checksum-Algorithm", "X-Amz-Checksum-Type"}, Sign: testCredentials},
		"checksums ignored: objects are read back; checksums of parts refused: the content is signed",
	},
	{
		"checksums refused",
		harness.S3Rules{Status: 400, Code: "InvalidArgument", Match: hasHeader("X-Amz-Checksum-Sha256", "X-Amz-Checksum-Algorithm")},
		"checksums refused: objects are read back; checksums of parts refused: the content is signed",
	},
	{
		"no multipart",
		harness.S3Rules{Status: 501, Code: "NotImplemented", Match: func(r *http.Request) bool { return r.URL.Query().Has("uploads") }},
		"multipart refused: objects go up in one request",
	},
	{
		"no metadata",
		harness.S3Rules{WithoutHeaders: []string{"X-Amz-Meta-Sha256"}, Sign: testCredentials},
		"metadata ignored: objects are compared by content",
	},
	{
		"no ranges",
		harness.S3Rules{WithoutHeaders: []string{"Range"}, Sign: testCredentials},
		"ranges ignored: what comes before is read too",
	},
}

func hasHeader(names ...string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		for _, name := range names {
			if r.Header.Get(name) != "" {
				return true
			}
		}
		return false
	}
}

func TestPoorServices(t *testing.T) {
	g := startGateway(t)
	for _, service := range poorServices {
		t.Run(service.name, func(t *testing.T) {
			proxy := harness.NewS3Proxy(t, g.endpoint)
			proxy.SetRules(service.rules)
			s := openStore(t, g.options(proxy.URL()))
			support, err := s.Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := support.String(); got != service.support {
				t.Errorf("the probe says: %s", got)
			}
			checkBasics(t, s)
		})
	}
}

// checkBasics is what every service must do well.
func checkBasics(t *testing.T, s *s3.Store) {
	t.Helper()
	for key, content := range map[string]string{"d/empty": "", "d/small": "content", "d/large": large} {
		mustPut(t, s, key, content)
		mustPut(t, s, key, content)
		if err := put(t.Context(), s, key, content[:len(content)/2]+"!"); !errors.Is(err, objectstore.ErrExists) {
			t.Errorf("put of other content under %q: %v", key, err)
		}
		wantContent(t, s, key, content)
		if got, err := get(t.Context(), s, key, int64(len(content)/2), -1); err != nil || got != content[len(content)/2:] {
			t.Errorf("second half of %q: %d bytes, %v", key, len(got), err)
		}
	}
	var keys []string
	if err := s.List(t.Context(), "d/", func(i objectstore.Info) bool { keys = append(keys, i.Key); return true }); err != nil || strings.Join(keys, " ") != "d/empty d/large d/small" {
		t.Errorf("list: %q, %v", keys, err)
	}
	for _, key := range keys {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
		wantMissing(t, s, key)
	}
}

// TestContractOnThePoorestService: one that ignores everything that may be left out keeps the contract, but for two writers
// of one key at one moment: the last of them wins. Keys are unique, so that there is one writer.
func TestContractOnThePoorestService(t *testing.T) {
	if testing.Short() {
		t.Skip("the same code as in the other tests, once more")
	}
	g := startGateway(t)
	proxy := harness.NewS3Proxy(t, g.endpoint)
	proxy.SetRules(harness.S3Rules{
		WithoutHeaders: []string{"If-None-Match", "If-Match", "X-Amz-Checksum-Sha256", "X-Amz-Meta-Sha256", "Range"}, Sign: testCredentials,
	})
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store {
		s := openStore(t, g.options(proxy.URL()))
		if _, err := s.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}, "ConcurrentPutsOfOneKey")
}
