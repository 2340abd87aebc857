package query

import (
	"testing"

	"drumlin/catalog"
)

func TestWhatAHeadSaysAndThisVersionDoesNotApplyIsRefused(t *testing.T) {
	raw := &catalog.Manifest{}
	for name, c := range map[string]struct {
		bucket   catalog.BucketView
		readable bool
	}{
		"never compacted": {catalog.BucketView{}, true},
		"raw":             {catalog.BucketView{Head: &catalog.Head{State: catalog.HeadRaw}, Manifest: raw}, true},
		"dropped":         {catalog.BucketView{Head: &catalog.Head{State: catalog.HeadDropped, Plan: 3}}, true},
		"folded":          {catalog.BucketView{Head: &catalog.Head{State: catalog.HeadFolded}, Manifest: raw}, true},
		"a plan":          {catalog.BucketView{Head: &catalog.Head{State: catalog.HeadRaw, Plan: 1}, Manifest: raw}, true},
		"another state":   {catalog.BucketView{Head: &catalog.Head{State: "sealed"}, Manifest: raw}, false},
		"deleted rows": {catalog.BucketView{
			Head:     &catalog.Head{State: catalog.HeadRaw},
			Manifest: &catalog.Manifest{Deletions: []catalog.Deletion{{Segment: "s"}}},
		}, false},
	} {
		if err := readable(&c.bucket); (err == nil) != c.readable {
			t.Errorf("%s: %v", name, err)
		}
	}
}
