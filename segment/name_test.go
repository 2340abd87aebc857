package segment

import (
	"strings"
	"testing"
	"time"

	"drumlin/spec"
)

func TestObjectNames(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 5, 7, 0, time.UTC).UnixMilli()
	for granularity, want := range map[string]string{
		"year": "y=2026", "quarter": "y=2026/m=10", "month": "y=2026/m=11", "week": "y=2026/m=11/d=16",
		"day": "y=2026/m=11/d=21", "six_hour": "y=2026/m=11/d=21/h=06", "hour": "y=2026/m=11/d=21/h=09",
		"five_minute": "y=2026/m=11/d=21/h=09/min=05", "second": "y=2026/m=11/d=21/h=09/min=05/s=07",
	} {
		g, err := spec.ParseGranularity(granularity)
		if err != nil {
			t.Fatal(err)
		}
		start, end := g.Chunk(at)
		n := ObjectName{
			Kind: KindData, Datasource: "events", Bucket: Bucket{start, end}, Incarnation: "0f3a-22", Epoch: 17,
			Source: OffsetRange{Topic: "click-stream", Partition: 3, From: 100, To: 250}, Random: "00ff00ff00ff00ff",
		}
		want = "data/table=events/" + want + "/0f3a22-e17-click-stream-3-100-250-00ff00ff00ff00ff.parquet"
		if got := n.Key(); got != want {
			t.Errorf("%s: %s, want %s", granularity, got, want)
		}
	}
}

func TestBucketStart(t *testing.T) {
	const hour = 3_600_000
	for _, b := range []Bucket{
		{StartMillis: hour, EndMillis: 2 * hour},
		{StartMillis: 24 * hour, EndMillis: 48 * hour},
		{EndMillis: 365 * 24 * hour},
		{StartMillis: 15 * 60_000, EndMillis: 30 * 60_000},
		{StartMillis: 61_000, EndMillis: 62_000},
		{StartMillis: 1, EndMillis: 2},
		{StartMillis: -hour},
	} {
		key := ObjectName{Kind: KindData, Datasource: "a/b", Bucket: b, Incarnation: "i", Epoch: 1}.Key()
		if at, ok := BucketStart(key); !ok || at != b.StartMillis {
			t.Errorf("%s: %d, %t; want %d", key, at, ok, b.StartMillis)
		}
		if prefix := TablePrefix(KindData, "a/b"); !strings.HasPrefix(key, prefix+"y=") {
			t.Errorf("%s does not begin with %s", key, prefix)
		}
	}
	for _, bad := range []string{"", "data", "data/table=x/y.parquet", "data/table=x/m=01/y.parquet", "data/table=x/y=z/f"} {
		if at, ok := BucketStart(bad); ok {
			t.Errorf("%q: %d", bad, at)
		}
	}
}
