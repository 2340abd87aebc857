package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/duckdb"
	"drumlin/segment"
)

// small is a world of one table with some rows, hot and cold.
func small(t *testing.T) (*world, *worldTable) {
	w := newWorld(t)
	tab := w.table("events", false, 2, column("page", segment.TypeString), column("n", segment.TypeLong))
	for i := range int64(10) {
		tab.partitions[i%2].add(worldRow{millis: t0 + i*60_000, values: []any{fmt.Sprint("p", i), i}})
	}
	w.commit(tab, tab.partitions[0], 3)
	return w, tab
}

func wantKind(t *testing.T, err error, kind Kind, texts ...string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want an error of kind %s", err, kind)
	}
	for _, text := range texts {
		if !strings.Contains(e.Error()+fmt.Sprint(e.Names), text) {
			t.Errorf("error %q %v lacks %q", e, e.Names, text)
		}
	}
	return e
}

func TestOwnersAreWaitedFor(t *testing.T) {
	for name, refusal := range map[string]*segment.HotUnavailable{
		"catching up": {Status: segment.HotCatchingUp, Detail: "at 3 of 5"}, "not the owner": {Status: segment.HotNotOwner, Detail: "moved"},
		"generation": {Status: segment.HotWrongGeneration, Detail: "generation 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := small(t)
			left := 3
			w.refuse = func(segment.HotRequest) error {
				if left--; left < 0 {
					return nil
				}
				return refusal
			}
			if got := mustAsk(t, w.engine(), "SELECT COUNT(*) FROM events"); got[0] != "10" {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAStaleViewIsPlannedAgain(t *testing.T) {
	w, tab := small(t)
	first := true
	w.refuse = func(r segment.HotRequest) error {
		if first && r.Partition == 1 {
			first = false
			w.mu.Unlock()
			w.commit(tab, tab.partitions[1], 4)
			w.mu.Lock()
		}
		return nil
	}
	lines, a, err := ask(w.engine(), Request{SQL: "SELECT COUNT(*) FROM events"})
	if err != nil || lines[0] != "10" {
		t.Fatalf("got %v, %v", lines, err)
	}
	if a.Cut.Revision != w.revision {
		t.Errorf("the cut's revision is %d, the commit's %d", a.Cut.Revision, w.revision)
	}
}

func TestUnreachablePartitionsAreNamed(t *testing.T) {
	w, tab := small(t)
	e := w.engine(func(o *Options) { o.HotBudget = 50 * time.Millisecond })
	tab.partitions[1].unowned = true
	_, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events"})
	wantKind(t, err, Unavailable, "events/topic-events/1", "committed")
	tab.partitions[1].unowned = false
	w.refuse = func(segment.HotRequest) error { return errors.New("connection refused") }
	_, _, err = ask(e, Request{SQL: "SELECT COUNT(*) FROM events"})
	wantKind(t, err, Unavailable, "events/topic-events/0", "connection refused")
	lines, a, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events", Context: map[string]any{"cut": "committed"}})
	if err != nil || lines[0] != "3" {
		t.Fatalf("committed rows only: %v, %v", lines, err)
	}
	text, err := json.Marshal(a.Cut)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"revision":%d,"datasources":{"events":{"events":[{"topic":"topic-events","generation":0,"partition":0,"offset":3},`+
		`{"topic":"topic-events","generation":0,"partition":1,"offset":0}]}}}`, w.revision)
	if string(text) != want {
		t.Errorf("cut\ngot  %s\nwant %s", text, want)
	}
	w.refuse = nil
	tab.suspended, tab.partitions[1].unowned = true, true
	if got := mustAsk(t, e, "SELECT COUNT(*) FROM events"); got[0] != "5" {
		t.Errorf("a suspended supervisor's partition without an owner is cold only: got %v", got)
	}
	if lines := mustAsk(t, e, "SELECT 1"); lines[0] != "1" {
		t.Errorf("got %v", lines)
	}
	tab.suspended, tab.partitions[1].key.Topic = false, "topic-of-an-earlier-version"
	if got := mustAsk(t, e, "SELECT COUNT(*) FROM events"); got[0] != "5" {
		t.Errorf("a partition that the spec no longer reads, without an owner, is cold only: got %v", got)
	}
}

func TestAnObjectThatIsGoneIsPlannedAgain(t *testing.T) {
	w, tab := small(t)
	e := w.engine()
	var lost segment.Meta
	for _, b := range tab.buckets {
		lost = b.Tail[0].Meta
	}
	raw := objectBytes(t, w, lost.Object)
	if err := w.objects.Delete(context.Background(), lost.Object); err != nil {
		t.Fatal(err)
	}
	_, _, err := ask(e, Request{SQL: "SELECT COUNT(*) FROM events"})
	wantKind(t, err, Unavailable, lost.Object)
	replacement := lost
	replacement.Object = lost.Object + ".2"
	if err := w.objects.Put(context.Background(), replacement.Object, bytes.NewReader(raw), lost.Bytes, lost.SHA256); err != nil {
		t.Fatal(err)
	}
	stale := w.View()
	for _, b := range tab.buckets {
		b.Tail[0].Meta = replacement
	}
	w.revision++
	e2 := w.engine(func(o *Options) { o.Catalog = &lagging{world: w, view: stale} })
	if got := mustAsk(t, e2, "SELECT COUNT(*) FROM events"); got[0] != "10" {
		t.Errorf("got %v", got)
	}
}

// lagging shows an old view until it is asked for one as new as now.
type lagging struct {
	*world
	view *catalog.View
}

func (l *lagging) View() *catalog.View { return l.view }

func objectBytes(t *testing.T, w *world, key string) []byte {
	t.Helper()
	r, err := w.objects.Get(context.Background(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDamageIsNeverAnAnswer(t *testing.T) {
	w, _ := small(t)
	dir := t.TempDir()
	with := func(o *Options) { o.CacheDir = dir }
	want := mustAsk(t, w.engine(with), "SELECT SUM(n) FROM events")
	files, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files in the cache: %v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.Chmod(files[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := mustAsk(t, w.engine(with), "SELECT SUM(n) FROM events"); got[0] != want[0] {
		t.Errorf("after a flipped bit in the cache: got %v, want %v", got, want)
	}
}

func TestLimits(t *testing.T) {
	w, _ := small(t)
	e := w.engine(func(o *Options) { o.MaxConcurrent, o.QueueTimeout = 1, 10*time.Millisecond })
	endless := "SELECT COUNT(*) FROM range(100000000) a(i), range(100000000) b(j) WHERE (i * j) % 7 = 3"
	_, _, err := ask(e, Request{SQL: endless, Context: map[string]any{"timeout": json.Number("100")}})
	wantKind(t, err, Timeout)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := e.Query(ctx, Request{SQL: endless})
		done <- err
	}()
	for len(e.turns.slots) == 0 {
		time.Sleep(time.Millisecond)
	}
	_, _, err = ask(e, Request{SQL: "SELECT 1"})
	wantKind(t, err, LimitExceeded)
	cancel()
	wantKind(t, <-done, Canceled)
	tiny := w.engine(func(o *Options) { o.DuckDB = duckdb.Options{MemoryLimitBytes: 16 << 20, Threads: 1} })
	_, _, err = ask(tiny, Request{SQL: "SELECT i, COUNT(*) FROM range(20000000) t(i) GROUP BY i"})
	wantKind(t, err, OutOfMemory)
	if got := mustAsk(t, tiny, "SELECT COUNT(*) FROM events"); got[0] != "10" {
		t.Errorf("after running out of memory: %v", got)
	}
}

func TestOuterLimitAndParameters(t *testing.T) {
	w, _ := small(t)
	e := w.engine()
	for sql, want := range map[string]string{
		"SELECT n FROM events ORDER BY n":                                       "[0 1]",
		"SELECT n FROM events ORDER BY n LIMIT 1":                               "[0]",
		"SELECT n FROM events ORDER BY n DESC LIMIT 5 -- five":                  "[9 8]",
		"SELECT n FROM events ORDER BY n; -- all":                               "[0 1]",
		"SELECT n FROM events UNION SELECT 70 ORDER BY 1 DESC":                  "[70 9]",
		"WITH a AS (SELECT n FROM events LIMIT 9) SELECT n - n FROM a /* c */;": "[0 0]",
	} {
		lines, _, err := ask(e, Request{SQL: sql, Context: map[string]any{"sqlOuterLimit": 2.0}})
		if err != nil || fmt.Sprint(lines) != want {
			t.Errorf("%s: got %v, %v, want %s", sql, lines, err, want)
		}
	}
	lines, _, err := ask(e, Request{
		SQL: "SELECT n, ?, ? FROM events WHERE page = ? AND __time >= ? AND n < ?",
		Parameters: []Parameter{
			{"DOUBLE", json.Number("1.5")},
			{"BOOLEAN", true},
			{"VARCHAR", "p3"},
			{"TIMESTAMP", time.UnixMilli(t0).UTC().Format("2006-01-02 15:04:05")},
			{"BIGINT", json.Number("7")},
		},
	})
	if err != nil || fmt.Sprint(lines) != "[3 1.5 true]" {
		t.Errorf("got %v, %v", lines, err)
	}
	for _, bad := range []Request{
		{SQL: "SELECT ?", Parameters: []Parameter{{"BIGINT", "x"}}},
		{SQL: "SELECT ?", Parameters: []Parameter{{"GEOMETRY", "x"}}},
		{SQL: "SELECT ?", Parameters: []Parameter{{"VARCHAR", map[string]any{"a": 1}}}},
		{SQL: "SELECT 1", Context: map[string]any{"timeout": -1.0}},
		{SQL: "SELECT 1", Context: map[string]any{"cut": "old"}},
		{SQL: "SELECT 1", Context: map[string]any{"sqlTimeZone": "America/New_York"}},
	} {
		_, _, err := ask(e, bad)
		wantKind(t, err, Invalid)
	}
}
