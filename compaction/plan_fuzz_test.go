package compaction

import (
	"testing"

	"drumlin/catalog"
)

// FuzzSegmentInterval: ids of segments come from outside.
func FuzzSegmentInterval(f *testing.F) {
	f.Add("wiki_2015-09-12T01:00:00.000Z_2015-09-12T02:00:00.000Z_v_1")
	f.Add("wiki__")
	f.Add("wiki_2015-09-12T02:00:00Z_2015-09-12T01:00:00Z_v")
	f.Fuzz(func(t *testing.T, id string) {
		i, err := segmentInterval("wiki", id)
		if err == nil && i.EndMillis < i.StartMillis {
			t.Errorf("%q is %+v", id, i)
		}
	})
}

// FuzzLayout: what another version of the planner has written is either understood or judged by size.
func FuzzLayout(f *testing.F) {
	f.Add([]byte(`{"version":1,"chunk":"hour","maxRowsPerSegment":5,"targetSegmentBytes":6,"sortBy":["__time"]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := layoutOf(&catalog.BucketView{Manifest: &catalog.Manifest{LastCompaction: data}})
		if l != nil && l.Version != layoutVersion {
			t.Errorf("layout %+v", l)
		}
	})
}
