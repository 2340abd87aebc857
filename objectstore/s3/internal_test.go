package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/cockroachdb/datadriven"

	"drumlin/objectstore"
)

// TestOutcomes reads "STATUS [CODE]" and tells what it comes to, whether it is tried again, and whether it may have been
// applied.
func TestOutcomes(t *testing.T) {
	datadriven.RunTest(t, "testdata/outcomes", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			var status int
			var code string
			fmt.Sscan(line, &status, &code)
			err := error(&smithyhttp.ResponseError{
				Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: &smithy.GenericAPIError{Code: code},
			})
			result := classify(err, t.Context(), t.Context(), true)
			fmt.Fprintf(&out, "%s: %s", strings.TrimSpace(line), result)
			if result.retried() {
				out.WriteString(", again")
			}
			if result.applied() {
				out.WriteString(", perhaps applied")
			}
			out.WriteString("\n")
		}
		return out.String()
	})
}

func TestOutcomesWithoutAReply(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("broken")
	for _, test := range []struct {
		name         string
		ctx, attempt context.Context
		sent         bool
		want         outcome
	}{
		{"the caller gave up", ended, ended, true, outcomeCancelled},
		{"no time left", t.Context(), ended, true, outcomeTimeout},
		{"sent", t.Context(), t.Context(), true, outcomeNetwork},
		{"not sent", t.Context(), t.Context(), false, outcomeLocal},
	} {
		if got := classify(broken, test.ctx, test.attempt, test.sent); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestBudget(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBudget(now)
	for i := range int(budgetRetries) {
		if wait, err := b.retry(now); wait != 0 || err != nil {
			t.Fatalf("retry %d waits %s, %v", i, wait, err)
		}
	}
	waits := 0
	for ; ; waits++ {
		wait, err := b.retry(now)
		if err != nil {
			break
		}
		if want := time.Duration(waits+1) * time.Second / budgetRetriesPerSecond; (wait - want).Abs() > time.Millisecond {
			t.Fatalf("overdrawn by %d: waits %s, want %s", waits, wait, want)
		}
	}
	if want := int(maxBackoff.Seconds() * budgetRetriesPerSecond); waits != want {
		t.Errorf("%d retries may wait, want %d", waits, want)
	}
	for range 2 {
		b.succeeded()
	}
	if _, err := b.retry(now); err != nil {
		t.Errorf("after two successes: %v", err)
	}
	now = now.Add(time.Hour)
	if wait, err := b.retry(now); wait != 0 || err != nil {
		t.Errorf("after an hour: waits %s, %v", wait, err)
	}
	if b.tokens != budgetRetries-1 {
		t.Errorf("after an hour there are %v tokens", b.tokens)
	}
}

func TestJitterStaysBelowItsEnd(t *testing.T) {
	for attempt := 1; attempt < 100; attempt++ {
		end := maxBackoff
		if attempt < 16 {
			end = min(end, firstBackoff<<(attempt-1))
		}
		for range 20 {
			if d := jitter(firstBackoff, attempt); d < 0 || d >= end {
				t.Fatalf("attempt %d: %s, want less than %s", attempt, d, end)
			}
		}
	}
}

// TestSumsOfParts: the parts, hashed one by one, are those that the one pass found.
func TestSumsOfParts(t *testing.T) {
	seed := uint32(time.Now().UnixNano())
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	random := rand.New(source)
	for range 50 {
		content := make([]byte, random.IntN(2_000_000))
		source.Read(content) //nolint:errcheck // it never fails
		partBytes := 1 + random.Int64N(800_000)
		whole := sha256.Sum256(content)
		sums, err := sumParts(t.Context(), bytes.NewReader(content), int64(len(content)), partBytes, hex.EncodeToString(whole[:]))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i, got := range sums {
			from := int64(i) * partBytes
			if want := sha256.Sum256(content[from:min(from+partBytes, int64(len(content)))]); got != want {
				t.Fatalf("seed %d: part %d of %d bytes in parts of %d", seed, i, len(content), partBytes)
			}
		}
		if want := (int64(len(content)) + partBytes - 1) / partBytes; int64(len(sums)) != want {
			t.Fatalf("seed %d: %d parts, want %d", seed, len(sums), want)
		}
	}
}

func TestPartBytesGrowWithTheObject(t *testing.T) {
	for _, test := range []struct{ size, asked, want int64 }{
		{0, 16 << 20, 16 << 20},
		{maxParts * 16 << 20, 16 << 20, 16 << 20},
		{maxParts*16<<20 + 1, 16 << 20, 17 << 20},
		{maxParts * maxPartBytes, 16 << 20, maxPartBytes},
		{maxParts*maxPartBytes + 1, 16 << 20, 0},
	} {
		if got, err := partBytesOf(test.size, test.asked); got != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%d bytes: parts of %d, %v; want %d", test.size, got, err, test.want)
		}
	}
}

func TestLifecycleRulesThatDeleteLiveObjects(t *testing.T) {
	enabled, days := types.ExpirationStatusEnabled, &types.LifecycleExpiration{Days: aws.Int32(30)}
	prefix := func(p string) *types.LifecycleRuleFilter { return &types.LifecycleRuleFilter{Prefix: &p} }
	for name, test := range map[string]struct {
		rule types.LifecycleRule
		want int
	}{
		"everything": {types.LifecycleRule{Status: enabled, Expiration: days}, 1},
		"our prefix": {types.LifecycleRule{Status: enabled, Expiration: days, Filter: prefix("ours/")}, 1},
		"above us":   {types.LifecycleRule{Status: enabled, Expiration: days, Filter: prefix("ou")}, 1},
		"below us":   {types.LifecycleRule{Status: enabled, Expiration: days, Filter: prefix("ours/data/")}, 1},
		//lint:ignore SA1019 rules that were made long ago still have it
		"old style":      {types.LifecycleRule{Status: enabled, Expiration: days, Prefix: aws.String("ours/")}, 1},
		"another prefix": {types.LifecycleRule{Status: enabled, Expiration: days, Filter: prefix("other/")}, 0},
		"disabled":       {types.LifecycleRule{Status: types.ExpirationStatusDisabled, Expiration: days}, 0},
		"by tag":         {types.LifecycleRule{Status: enabled, Expiration: days, Filter: &types.LifecycleRuleFilter{Tag: &types.Tag{}}}, 0},
		"old versions":   {types.LifecycleRule{Status: enabled, NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{}}, 0},
		"markers":        {types.LifecycleRule{Status: enabled, Expiration: &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)}}, 0},
	} {
		if got := lifecycleWarnings([]types.LifecycleRule{test.rule}, "ours/"); len(got) != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestUnorderedLists: a service that lists out of order is found out; once that is known, its lists are sorted.
func TestUnorderedLists(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, more := `<Contents><Key>p/b</Key><Size>2</Size></Contents><Contents><Key>p/a</Key><Size>1</Size></Contents>`, "true"
		if r.URL.Query().Get("continuation-token") != "" {
			page, more = `<Contents><Key>p/c</Key><Size>3</Size></Contents><Contents><Key>p/a</Key><Size>1</Size></Contents>`, "false"
		}
		fmt.Fprintf(w, `<ListBucketResult><IsTruncated>%s</IsTruncated><NextContinuationToken>x</NextContinuationToken>%s</ListBucketResult>`, more, page)
	}))
	t.Cleanup(server.Close)
	s, err := Open(t.Context(), Options{Bucket: "b", Prefix: "p", Endpoint: server.URL, PathStyle: true, AccessKeyID: "id", SecretAccessKey: "s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	list := func() (found []objectstore.Info, err error) {
		err = s.List(t.Context(), "", func(i objectstore.Info) bool { found = append(found, i); return true })
		return found, err
	}
	if _, err := list(); !errors.Is(err, errUnordered) {
		t.Errorf("an unordered list: %v", err)
	}
	known := fullSupport()
	known.OrderedList = Ignored
	s.support.Store(&known)
	if found, err := list(); err != nil || fmt.Sprint(found) != "[{a 1} {b 2} {c 3}]" {
		t.Errorf("sorted here: %v, %v", found, err)
	}
}

func FuzzContentRange(f *testing.F) {
	for _, text := range []string{"bytes 3-6/10", "bytes 0-0/1", "bytes */10", "bytes 9-3/10", "bytes 3-6/*", "bytes -1-6/10", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		begin, size, err := parseContentRange(text)
		if err == nil && (begin < 0 || size < begin) {
			t.Errorf("%q: %d of %d", text, begin, size)
		}
	})
}
