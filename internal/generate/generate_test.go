package generate

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"drumlin/consumer/decode"
	"drumlin/internal/testkit"
	"drumlin/spec"
)

type event struct {
	MessageID, Type, Event, UserID, AnonymousID string
	Timestamp                                   time.Time
	Context                                     struct{ Page struct{ Path string } }
}

// all returns every record of the options, with keys and Kafka timestamps.
func all(t testing.TB, o Options) (records [][]byte, keys []string, millis []int64) {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	g := New(o)
	for {
		record, key, at, ok := g.Next(nil)
		if !ok {
			return records, keys, millis
		}
		records, keys, millis = append(records, record), append(keys, string(key)), append(millis, at)
	}
}

func parse(t testing.TB, record []byte) event {
	t.Helper()
	var e event
	if err := json.Unmarshal(record, &e); err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	return e
}

func TestEqualOptionsGiveEqualBytes(t *testing.T) {
	o := Options{Events: 3000, Duplicates: 0.2, Late: 0.05, Seed: 7}
	a, _, _ := all(t, o)
	g := New(o)
	dst := []byte("before")
	for i := range a {
		record, key, _, ok := g.Next(dst)
		if !ok || !bytes.Equal(record, a[i]) || !bytes.Contains(record, key) || len(key) != uuidLen {
			t.Fatalf("record %d: %s and %s", i, a[i], record)
		}
	}
	if len(a) != 3000 {
		t.Errorf("%d records, want 3000", len(a))
	}
	o.Seed = 8
	if b, _, _ := all(t, o); bytes.Equal(bytes.Join(a, nil), bytes.Join(b, nil)) {
		t.Error("another seed gives the same records")
	}
}

// TestBytesStayTheSame fails when a change gives old seeds new records, which must be wanted.
func TestBytesStayTheSame(t *testing.T) {
	h := fnv.New64a()
	records, _, _ := all(t, Options{Events: 2000, Duplicates: 0.1, Late: 0.02, Seed: 1})
	for _, r := range records {
		h.Write(r)
	}
	if got, want := h.Sum64(), uint64(0xf70839c82a18eadf); got != want {
		t.Errorf("the records of seed 1 sum up to %#x, want %#x; the first is %s", got, want, records[0])
	}
}

func TestStartAndRateChangeTimesOnly(t *testing.T) {
	ids := func(o Options) (ids []string) {
		records, _, _ := all(t, o)
		for _, r := range records {
			ids = append(ids, parse(t, r).MessageID)
		}
		return ids
	}
	a := ids(Options{Events: 2000, Duplicates: 0.3, Late: 0.1, Seed: 3})
	b := ids(Options{Events: 2000, Duplicates: 0.3, Late: 0.1, Seed: 3, RatePerSecond: 3, Start: time.Date(1969, 5, 4, 3, 2, 1, 0, time.UTC)})
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("record %d: %s and %s", i, a[i], b[i])
		}
	}
}

func TestSharesAndSkew(t *testing.T) {
	const n = 20_000
	records, keys, millis := all(t, Options{Events: n, Duplicates: 0.1, Late: 0.02, Seed: 11})
	first := map[string][]byte{}
	duplicates, late, far := 0, 0, 0
	position := map[string]int{}
	users, events, pages, types := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for i, r := range records {
		e := parse(t, r)
		if i > 0 && millis[i] < millis[i-1] {
			t.Fatalf("record %d: the Kafka timestamp goes back", i)
		}
		if keys[i] != e.AnonymousID {
			t.Fatalf("record %d: key %s, anonymousId %s", i, keys[i], e.AnonymousID)
		}
		if old, ok := first[e.MessageID]; ok {
			if !bytes.Equal(old, r) {
				t.Fatalf("two records of message %s differ", e.MessageID)
			}
			duplicates++
			if i-position[e.MessageID] > 5000 {
				far++
			}
			continue
		}
		first[e.MessageID], position[e.MessageID] = r, i
		back := millis[i] - e.Timestamp.UnixMilli()
		if back < 0 || back > 8*24*3600*1000 {
			t.Fatalf("record %d: its event time is %d ms before its Kafka timestamp", i, back)
		}
		if back >= 3600*1000 {
			late++
		}
		users[e.AnonymousID]++
		events[e.Event]++
		types[e.Type]++
		pages[e.Context.Page.Path]++
	}
	within := func(what string, got, low, high float64) {
		if got < low || got > high {
			t.Errorf("share of %s is %v, want %v to %v", what, got, low, high)
		}
	}
	originals := float64(len(first))
	within("duplicates", float64(duplicates)/n, 0.09, 0.11)
	within("far duplicates", float64(far)/float64(duplicates), 0.02, 0.2)
	within("late events", float64(late)/originals, 0.016, 0.024)
	within("the busiest tenth of users", top(users, 0.1), 0.4, 0.95)
	within("the busiest tenth of pages", top(pages, 0.1), 0.4, 0.95)
	within("the most frequent event", top(events, 0.05), 0.15, 0.5)
	within("track", float64(types["track"])/originals, 0.68, 0.76)
	if len(types) != 6 || len(events) != len(trackEvents)+1 {
		t.Errorf("%d types and %d events, want 6 and %d", len(types), len(events), len(trackEvents)+1)
	}
}

// top returns the share that the most frequent part of the keys has in all counts.
func top(counts map[string]int, part float64) float64 {
	var all []int
	sum := 0
	for _, n := range counts {
		all = append(all, n)
		sum += n
	}
	sort.Sort(sort.Reverse(sort.IntSlice(all)))
	head := 0
	for _, n := range all[:max(1, int(float64(len(all))*part))] {
		head += n
	}
	return float64(head) / float64(sum)
}

func TestHoursDiffer(t *testing.T) {
	hours := [24]int{}
	_, _, millis := all(t, Options{Events: 20_000, Seed: 5, RatePerSecond: 0.25})
	day := millis[0] / 86_400_000
	for _, m := range millis {
		if m/86_400_000 == day {
			hours[m/3_600_000%24]++
		}
	}
	if hours[20] < 3*hours[3] {
		t.Errorf("events per hour: %v", hours)
	}
}

func TestRecordsDecodeUnderTheExampleSpec(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "configs", "specs", "events.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := spec.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	d, err := decode.New(s)
	if err != nil {
		t.Fatal(err)
	}
	records, keys, millis := all(t, Options{Events: 5000, Duplicates: 0.1, Late: 0.1, Seed: 2})
	total := 0
	for i, r := range records {
		total += len(r)
		row, reject := d.Decode(&decode.Record{Value: r, Key: []byte(keys[i]), TimestampMillis: millis[i]})
		if reject != nil {
			t.Fatalf("%s: %s: %s", reject.Reason, reject.Message, r)
		}
		if e := parse(t, r); !row.HasKey || string(row.Key) != e.MessageID || row.TimeMillis != e.Timestamp.UnixMilli() {
			t.Fatalf("%s: key %q, time %d", r, row.Key, row.TimeMillis)
		}
	}
	if mean := total / len(records); mean < 500 || mean > 1500 {
		t.Errorf("a record has %d bytes on average", mean)
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	for _, o := range []Options{{Events: -1}, {Duplicates: 1.1}, {Late: -0.1}, {RatePerSecond: -1}, {RatePerSecond: 1e9}} {
		if o.Validate() == nil {
			t.Errorf("%+v is valid", o)
		}
		New(o).Next(nil)
	}
	o := Options{Events: 3, Duplicates: 1, Late: 1}
	if records, _, _ := all(t, o); !bytes.Equal(records[0], records[2]) {
		t.Error("with duplicates alone the first record is not repeated")
	}
}

func BenchmarkNext(b *testing.B) {
	g := New(Options{Events: 1 << 60, Duplicates: 0.1, Late: 0.01, Seed: 1})
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		record, _, _, ok := g.Next(buf)
		if !ok {
			b.Fatal("no more records")
		}
		b.SetBytes(int64(len(record)))
	}
}
