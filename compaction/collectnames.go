package compaction

import (
	"strconv"
	"strings"
	"time"

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
		key := segment.ObjectName{Kind: kind, Datasource: r.only.Datasource}.Key()
		table, _, _ := strings.Cut(strings.TrimPrefix(key, string(kind)+"/"), "/")
		out = append(out, string(kind)+"/"+table+"/")
	}
	return append(out, catalog.ManifestPrefix(r.facts.Incarnation, r.only.Datasource))
}

// bucketStart is when the bucket begins that the name of a segment, sidecar or manifest tells; known is false for other
// names.
func bucketStart(object string) (millis int64, known bool) {
	parts := strings.Split(object, "/")
	if parts[0] == "manifests" {
		if len(parts) != 4 || len(parts[3]) < 20 {
			return 0, false
		}
		millis, err := strconv.ParseInt(parts[3][:20], 10, 64)
		return millis, err == nil
	}
	if len(parts) < 4 {
		return 0, false
	}
	at := [7]int{0, 1, 1, 0, 0, 0, 0} // year, month, day, hour, minute, second, millisecond
	for i, name := range []string{"y", "m", "d", "h", "min", "s", "ms"} {
		if i+2 >= len(parts)-1 {
			known = i > 0
			break
		}
		key, digits, found := strings.Cut(parts[i+2], "=")
		value, err := strconv.Atoi(digits)
		if !found || key != name || err != nil {
			return 0, false
		}
		at[i], known = value, true
	}
	t := time.Date(at[0], time.Month(at[1]), at[2], at[3], at[4], at[5], at[6]*int(time.Millisecond), time.UTC)
	return t.UnixMilli(), known
}
