package spec

import (
	"slices"

	"drumlin/internal/strictyaml"
)

// change reads what a compaction changes, from a compact task or an auto-compaction config: they have the same fields.
func (b *builder) change(o object) CompactionChange {
	granularity := o.child("granularitySpec")
	granularity.oneOf("type", "uniform")
	out := CompactionChange{
		SegmentGranularity: granularity.segmentGranularity("segmentGranularity"),
		QueryGranularity:   granularity.queryGranularity("queryGranularity"),
	}
	granularity.checkFiner(out.QueryGranularity, out.SegmentGranularity)
	if granularity.given("rollup") {
		rollup := granularity.boolean("rollup")
		out.Rollup = &rollup
	}
	columns := o.child("dimensionsSpec")
	if len(columns.items("dimensions")) > 0 {
		out.Dimensions, out.SortBy = b.dimensionsSpec(columns)
	} else if columns.given("forceSegmentSortByTime") {
		columns.problem("forceSegmentSortByTime", "needs dimensions: it speaks of their order")
	}
	if excluded := columns.texts("dimensionExclusions"); len(excluded) > 0 {
		out.Exclusions = excluded
		if slices.Contains(excluded, timeColumn) {
			columns.problem("dimensionExclusions", "__time cannot be left out")
		}
	}
	if n := o.node.Get("metricsSpec"); n != nil && n.Kind == strictyaml.List {
		b.metricsSpec(o, out.Dimensions)
		out.Metrics = o.json("metricsSpec")
		if len(n.List) == 0 {
			b.warnings = append(b.warnings, o.shownPath("metricsSpec")+": an empty list takes every metric away; leave it out to "+
				"keep them")
		}
	}
	if transform := o.child("transformSpec"); transform.given("filter") {
		out.Filter = transform.json("filter")
	}
	return out
}

// olderSegmentGranularity reads a compact task's top-level segmentGranularity.
func (b *builder) olderSegmentGranularity(o object, change *CompactionChange) {
	older := o.segmentGranularity("segmentGranularity")
	switch {
	case older == nil:
	case change.SegmentGranularity != nil && *change.SegmentGranularity != *older:
		o.problem("segmentGranularity", "%s contradicts granularitySpec.segmentGranularity %s: give granularitySpec alone", older,
			change.SegmentGranularity)
	case change.SegmentGranularity == nil:
		change.SegmentGranularity = older
		o.child("granularitySpec").checkFiner(change.QueryGranularity, older)
	}
}

// tuning reads a compaction's tuningConfig.
func (b *builder) tuning(o object) CompactionTuning {
	o.oneOf("type", "index_parallel", "index", "compaction")
	out := CompactionTuning{
		MaxRowsPerSegment:  o.limit("maxRowsPerSegment"),
		TargetSegmentBytes: o.limit("targetSegmentBytes"),
		MaxRetry:           int(o.whole("maxRetry", 1)),
	}
	const mostRetries = 100
	if out.MaxRetry > mostRetries {
		o.problem("maxRetry", "must be at most %d", mostRetries)
	}
	if o.given("partitionsSpec") {
		b.partitionsSpec(o, &out)
	}
	return out
}

// limit reads a whole number from 1 on; 0 where it is not given, which −1 says too.
func (o object) limit(key string) int64 {
	if n := o.node.Get(key); n == nil || n.Text == "-1" {
		return 0
	}
	return o.whole(key, 1)
}

func (b *builder) partitionsSpec(tuning object, out *CompactionTuning) {
	o := tuning.child("partitionsSpec")
	kind := o.oneOf("type", "dynamic", "range", "single_dim", "hashed")
	belongs := map[string][]string{
		"targetRowsPerSegment": {"range", "single_dim", "hashed"},
		"partitionDimensions":  {"range", "hashed"},
		"partitionDimension":   {"single_dim"},
		"assumeGrouped":        {"range", "single_dim"},
	}
	for _, key := range []string{"targetRowsPerSegment", "partitionDimensions", "partitionDimension", "assumeGrouped"} {
		if o.given(key) && !slices.Contains(belongs[key], kind) {
			o.problem(key, "belongs to type %s", orList(belongs[key]))
		}
	}
	most, target := o.limit("maxRowsPerSegment"), o.limit("targetRowsPerSegment")
	rows := max(most, target)
	switch {
	case most > 0 && target > 0:
		o.problem("maxRowsPerSegment", "cannot be combined with targetRowsPerSegment: only one of the two can be set")
	case rows > 0 && out.MaxRowsPerSegment > 0:
		tuning.problem("maxRowsPerSegment", "cannot be combined with that of partitionsSpec: say it there")
	case rows > 0:
		out.MaxRowsPerSegment = rows
	}
	switch kind {
	case "range":
		out.PartitionDimensions = o.texts("partitionDimensions")
		if len(out.PartitionDimensions) == 0 {
			o.problem("partitionDimensions", "is missing or empty: the columns whose ranges segments are")
		}
	case "single_dim":
		if name := o.need("partitionDimension", "the column whose ranges segments are"); name != "" {
			out.PartitionDimensions = []string{name}
		}
	case "hashed":
		b.warn(o.shownPath("type"), "hashed is cut as dynamic is; compacted time chunks are rolled up perfectly without it. Use "+
			"range to make queries on a column read less")
		if o.given("partitionDimensions") {
			b.warn(o.shownPath("partitionDimensions"), "nothing is hashed")
		}
	}
}
