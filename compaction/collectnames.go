package compaction

import (
	"drumlin/catalog"
	"drumlin/segment"
)

// prefixes are what a collection lists: everything that an epoch judges, or what belongs to one datasource and has a time.
func (r *collection) prefixes() []string {
	kinds := []segment.Kind{segment.KindData, segment.KindRejects, segment.KindIDs}
	var out []string
	if r.only == nil {
		for _, kind := range kinds {
			out = append(out, string(kind)+"/")
		}
		return append(out, "commits/", "offsets/", "manifests/")
	}
	for _, kind := range kinds {
		out = append(out, segment.TablePrefix(kind, r.only.Datasource))
	}
	return append(out, catalog.ManifestPrefix(r.facts.Incarnation, r.only.Datasource))
}

// bucketStart is when the bucket begins that the name of a segment, sidecar or manifest tells; known is false for other
// names.
func bucketStart(object string) (millis int64, known bool) {
	if millis, known = catalog.ManifestBucketStart(object); known {
		return millis, true
	}
	return segment.BucketStart(object)
}
