package segment

import (
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
