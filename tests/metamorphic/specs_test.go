package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// rules are what one version of a spec does to records, as the oracle knows it.
type rules struct {
	dimensions  []string
	dropPage    bool  // the ingest filter removes page "drop"
	upper       bool  // a transform turns country into upper case
	lateMillis  int64 // lateMessageRejectionPeriod
	horizon     int64 // in milliseconds; 0: none
	acceptOlder bool  // beyondHorizon: accept
	maxRows     int
}

// table is one datasource.
type table struct {
	name          string
	rollup, dedup bool
	versions      []rules // of its spec; version 1 is the first
}

const metrics = `[
	{"type":"count","name":"cnt"},
	{"type":"longSum","name":"n_sum","fieldName":"n"},
	{"type":"longMin","name":"n_min","fieldName":"n"},
	{"type":"longFirst","name":"n_first","fieldName":"n"},
	{"type":"doubleSum","name":"price_sum","fieldName":"price"},
	{"type":"doubleMax","name":"price_max","fieldName":"price"},
	{"type":"doubleLast","name":"price_last","fieldName":"price"},
	{"type":"stringLast","name":"user_last","fieldName":"user"},
	{"type":"filtered","filter":{"type":"selector","dimension":"page","value":"p1"},"aggregator":{"type":"count","name":"p1s"}},
	{"type":"HLLSketchBuild","name":"users","fieldName":"user"},
	{"type":"quantilesDoublesSketch","name":"prices","fieldName":"price"}
]`

var (
	rollupDimensions = []string{"page", "country", "kind"}
	rawDimensions    = []string{"id", "page", "country", "kind", "n", "price", "user"}
	types            = map[string]string{"kind": "double", "n": "long", "price": "double"}
)

func newTables(r *rand.Rand) []*table {
	var out []*table
	for _, t := range []*table{
		{name: "raw_dedup", dedup: true},
		{name: "raw_plain"},
		{name: "rolled_dedup", rollup: true, dedup: true},
		{name: "rolled_plain", rollup: true},
	} {
		first := rules{dimensions: rawDimensions, dropPage: r.IntN(3) == 0, maxRows: pick(r, 5, 40, 1000)}
		if t.rollup {
			first.dimensions = rollupDimensions
		}
		if t.dedup && r.IntN(3) == 0 {
			first.horizon, first.acceptOlder = 20*hourMillis, r.IntN(2) == 0
		}
		t.versions = []rules{first}
		out = append(out, t)
	}
	return out
}

// next changes a spec as a running datasource may be changed.
func (t *table) next(r *rand.Rand) rules {
	out := t.versions[len(t.versions)-1]
	out.maxRows = pick(r, 3, 20, 1000)
	switch r.IntN(4) {
	case 0:
		out.dropPage = !out.dropPage
	case 1:
		out.upper = !out.upper
	case 2:
		out.lateMillis = pick(r, 0, 12*hourMillis, 30*hourMillis)
	}
	if !t.rollup {
		out.dimensions = pick(r, rawDimensions, append(rawDimensions[:len(rawDimensions):len(rawDimensions)], "extra"),
			[]string{"id", "country", "page", "n", "kind", "price", "extra"}, []string{"page", "n", "price", "user"})
	}
	return out
}

// text is the spec as a person submits it.
func (t *table) text(v rules) string {
	var dims []string
	for _, d := range v.dimensions {
		if types[d] != "" {
			dims = append(dims, fmt.Sprintf(`{"type":%q,"name":%q}`, types[d], d))
		} else {
			dims = append(dims, fmt.Sprintf("%q", d))
		}
	}
	more := ""
	if t.dedup {
		dedup := `"key":"id"`
		if v.horizon > 0 {
			dedup += fmt.Sprintf(`,"horizon":"PT%dH","beyondHorizon":%q`, v.horizon/hourMillis, map[bool]string{true: "accept", false: "reject"}[v.acceptOlder])
		}
		more += fmt.Sprintf(`"dedupSpec":{%s},`, dedup)
	}
	var transforms []string
	if v.upper {
		transforms = append(transforms, `"transforms":[{"type":"expression","name":"country","expression":"upper(country)"}]`)
	}
	if v.dropPage {
		transforms = append(transforms, `"filter":{"type":"not","field":{"type":"selector","dimension":"page","value":"drop"}}`)
	}
	if len(transforms) > 0 {
		more += fmt.Sprintf(`"transformSpec":{%s},`, strings.Join(transforms, ","))
	}
	granularity := `"queryGranularity":"none","rollup":false`
	if t.rollup {
		granularity = `"queryGranularity":"minute","rollup":true`
		more += `"metricsSpec":` + metrics + ","
	}
	late := ""
	if v.lateMillis > 0 {
		late = fmt.Sprintf(`,"lateMessageRejectionPeriod":"PT%dH"`, v.lateMillis/hourMillis)
	}
	return fmt.Sprintf(`{"type":"kafka","spec":{"dataSchema":{"dataSource":%q,"timestampSpec":{"column":"t","format":"millis"},%s
		"dimensionsSpec":{"dimensions":[%s]},"granularitySpec":{"segmentGranularity":"hour",%s}},
		"ioConfig":{"topicPattern":"events.*","inputFormat":{"type":"json"},"useEarliestOffset":true%s},
		"tuningConfig":{"type":"kafka","maxRowsPerSegment":%d}}}`, t.name, more, strings.Join(dims, ","), granularity, late, v.maxRows)
}
