package spec

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"drumlin/internal/nearest"
	"drumlin/internal/strictyaml"
)

const timeColumn = "__time"

func (b *builder) dataSchema(o object, kafka *KafkaFormat) DataSchema {
	out := DataSchema{DataSource: o.need("dataSource", "the name of the table")}
	if out.DataSource != "" {
		if reason := badName(out.DataSource); reason != "" {
			o.problem("dataSource", "%s", reason)
		}
	}
	if o.given("dedupSpec") {
		out.Dedup = b.dedupSpec(o.child("dedupSpec"))
	}
	out.Timestamp = b.timestampSpec(o.child("timestampSpec"), out.Dedup != nil, kafka)
	columns := o.child("dimensionsSpec")
	if len(columns.items("dimensions")) == 0 {
		columns.problem("dimensions", "is missing or empty: name the columns; discovering them is not supported")
	} else {
		out.Dimensions, out.SortBy = b.dimensionsSpec(columns)
	}
	b.granularitySpec(o.child("granularitySpec"), &out)
	b.rollup(o, &out)
	return out
}

// rollup reads what makes columns of records beyond copying fields.
func (b *builder) rollup(o object, out *DataSchema) {
	metrics := b.metricsSpec(o, out.Dimensions)
	granularity := o.child("granularitySpec")
	switch {
	case len(metrics) > 0 && !out.Rollup:
		o.problem("metricsSpec", "needs granularitySpec.rollup: true; with rollup: false every record is a row: keep the "+
			"fields as dimensions and aggregate in SQL")
	case len(metrics) == 0 && !granularity.given("rollup"):
		b.warnings = append(b.warnings, granularity.shownPath("rollup")+": is not given, which means true, as in Druid: "+
			"records with one time and equal dimensions become one row; say false to keep each")
	}
	if len(metrics) > 0 {
		out.Metrics = o.json("metricsSpec")
	}
	if n := o.node.Get("transformSpec"); n != nil && !saysNothing(n) {
		out.Transforms = o.json("transformSpec")
	}
}

// metricsSpec returns the names of the metrics, and reports those that cannot be columns beside the dimensions. What a
// metric computes is not looked at here.
func (b *builder) metricsSpec(o object, dimensions []Dimension) []string {
	list := o.node.Get("metricsSpec")
	if list == nil || list.Kind != strictyaml.List {
		return nil
	}
	seen := map[string]string{}
	for _, d := range dimensions {
		seen[strings.ToLower(d.Name)] = d.Name
	}
	var names []string
	for i, item := range list.List {
		at := fmt.Sprintf("metricsSpec[%d].name", i)
		name := metricName(item)
		names = append(names, name)
		previous, taken := seen[strings.ToLower(name)]
		switch reason := badColumn(name); {
		case item.Kind != strictyaml.Map: // reported
		case name == "":
			o.problem(at, "is missing: the name of the metric's column")
		case reason != "":
			o.problem(at, "%s", reason)
		case taken && slices.ContainsFunc(dimensions, func(d Dimension) bool { return d.Name == previous }):
			o.problem(at, "%s is the name of a dimension too: a metric and a dimension are columns of one table, and SQL does "+
				"not tell cases apart; rename the metric", shown(name))
		case taken:
			o.problem(at, "%s", twice(name, previous))
		}
		seen[strings.ToLower(name)] = name
	}
	return names
}

// metricName is a metric's name; a filtered one may leave it to the aggregator inside.
func metricName(n *node) string {
	for depth := 0; n != nil && depth < maxDepth; depth++ {
		if name := n.Get("name"); name != nil && name.Kind == strictyaml.String && name.Text != "" {
			return name.Text
		}
		if kind := n.Get("type"); kind == nil || kind.Text != "filtered" {
			return ""
		}
		n = n.Get("aggregator")
	}
	return ""
}

func (b *builder) dedupSpec(o object) *DedupSpec {
	out := &DedupSpec{
		Key:           o.need("key", "the field that copies of a record share"),
		HorizonMillis: o.period("horizon"),
	}
	out.AcceptBeyondHorizon = o.oneOf("beyondHorizon", "reject", "accept") == "accept"
	if o.given("beyondHorizon") && !o.given("horizon") {
		o.problem("beyondHorizon", "needs horizon")
	}
	return out
}

// timestampSpec refuses, under dedup, what could give two copies of a record two times.
func (b *builder) timestampSpec(o object, dedup bool, kafka *KafkaFormat) TimestampSpec {
	out := TimestampSpec{Column: o.text("column"), Format: o.text("format")}
	if out.Column == "" {
		o.problem("column", "must not be empty")
	}
	if !slices.Contains(namedTimeFormats, out.Format) {
		if name := nearest.Name(out.Format, namedTimeFormats); name != "" && len(out.Format) < 7 {
			o.problem("format", "%s is not a known format; did you mean %s?", shown(out.Format), name)
		} else if _, err := ParseTimePattern(out.Format); err != nil {
			o.problem("format", "%s; or use %s", err, orList(namedTimeFormats))
		}
	}
	out.MissingMillis = o.instant("missingValue")
	if !dedup {
		return out
	}
	if o.given("missingValue") {
		o.problem("missingValue", "refused with dedupSpec: a record without a time is rejected")
	}
	if kafka != nil && slices.Contains(
		[]string{kafka.TimestampColumn, kafka.OffsetColumn, kafka.PartitionColumn, kafka.TopicColumn}, out.Column) {
		o.problem("column", "refused with dedupSpec: the time must come from the record itself, as two copies of a "+
			"record have two Kafka timestamps")
	}
	return out
}

func (b *builder) dimensionsSpec(o object) (dimensions []Dimension, sortBy []string) {
	timeAt := -1 // place of __time among the entries
	seen := map[string]string{}
	for i, item := range o.items("dimensions") {
		name := item.need("name", "the column's name")
		if name == "" {
			continue
		}
		if previous, ok := seen[strings.ToLower(name)]; ok {
			item.problem("name", "%s", twice(name, previous))
			continue
		}
		seen[strings.ToLower(name)] = name
		if name == timeColumn {
			timeAt = i
			if item.given("type") {
				item.oneOf("type", "long")
			}
			sortBy = append(sortBy, timeColumn)
			continue
		}
		if reason := badColumn(name); reason != "" {
			item.problem("name", "%s", reason)
		}
		d := Dimension{Name: name, Type: dimensionType(item)}
		dimensions = append(dimensions, d)
		if d.Type != DimJSON {
			sortBy = append(sortBy, name)
		}
	}
	if len(dimensions) == 0 {
		o.problem("dimensions", "names no column besides __time")
	}
	if o.boolean("forceSegmentSortByTime") {
		if timeAt > 0 {
			o.problem("dimensions", "__time must be the first, or forceSegmentSortByTime be false")
		} else if timeAt < 0 {
			sortBy = append([]string{timeColumn}, sortBy...)
		}
	}
	b.checkExclusions(o, seen)
	return dimensions, sortBy
}

func twice(name, previous string) string {
	if name == previous {
		return "the column " + shown(name) + " is listed twice"
	}
	return "the columns " + shown(previous) + " and " + shown(name) + " differ only in case, which SQL does not tell apart"
}

// dimensionType is empty where none is given and the vocabulary has no default.
func dimensionType(item object) DimensionType {
	switch v := item.text("type"); v {
	case "auto":
		item.problem("type", "auto is not supported: give string, long, double, float or json")
	case "spatial", "newSpatial":
		item.problem("type", "spatial columns are not supported")
	case "":
		if !item.given("type") {
			return ""
		}
		item.problem("type", "must not be empty")
	default:
		return DimensionType(item.oneOf("type", string(DimString), string(DimLong), string(DimDouble),
			string(DimFloat), string(DimJSON)))
	}
	return DimString
}

func (b *builder) checkExclusions(o object, seen map[string]string) {
	excluded := o.node.Get("dimensionExclusions")
	if excluded == nil {
		return
	}
	for _, n := range excluded.List {
		if name, ok := seen[strings.ToLower(n.Text)]; ok && n.Text != "" {
			o.problem("dimensionExclusions", "excludes %s, which dimensions lists", shown(name))
		}
	}
}

const maxColumnNameBytes = 256

// badColumn says what is wrong with a column's name.
func badColumn(name string) string {
	switch {
	case strings.HasPrefix(name, "__"):
		return "names that begin with two underscores are reserved"
	case len(name) > maxColumnNameBytes:
		return "the name is too long"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "the name holds a control character"
	}
	return ""
}

func (b *builder) granularitySpec(o object, out *DataSchema) {
	o.oneOf("type", "uniform")
	out.Rollup = o.boolean("rollup")
	segment, query := o.segmentGranularity("segmentGranularity"), o.queryGranularity("queryGranularity")
	if segment != nil {
		out.SegmentGranularity = *segment
	}
	if query != nil {
		out.QueryGranularity = *query
	}
	o.checkFiner(query, segment)
}

// segmentGranularity reads one; nil where there is none, or a problem.
func (o object) segmentGranularity(key string) *Granularity {
	name := o.chunk(key)
	if name == "" {
		return nil
	}
	g, err := ParseGranularity(name)
	if err != nil {
		o.problem(key, "%s", err)
		return nil
	}
	return &g
}

// queryGranularity reads one; nil where there is none, or a problem.
func (o object) queryGranularity(key string) *Granularity {
	name := o.chunk(key)
	if name == "" {
		return nil
	}
	g, err := ParseQueryGranularity(name)
	if err != nil {
		o.problem(key, "%s", err)
		return nil
	}
	return &g
}

// checkFiner holds a queryGranularity to Druid's rule: no coarser than the time chunk of a segment.
func (o object) checkFiner(query, segment *Granularity) {
	if query != nil && segment != nil && !query.Divides(*segment) {
		o.problem("queryGranularity", "%s does not divide segmentGranularity %s: a truncated time would leave its segment's "+
			"time chunk; use a finer queryGranularity, or a coarser segmentGranularity", query, segment)
	}
}

// chunk reads a granularity's name, or the period of Druid's {type: period, period: PT1H}. It is empty where a problem
// has been reported.
func (o object) chunk(key string) string {
	n := o.node.Get(key)
	if n == nil || n.Kind == strictyaml.String {
		return o.raw(key)
	}
	if n.Kind != strictyaml.Map {
		return ""
	}
	before := len(o.b.problems)
	for _, e := range n.Entries {
		ok := e.Value.Kind == strictyaml.Null
		switch e.Key {
		case "type":
			ok = e.Value.Text == "period"
		case "period":
			ok = e.Value.Kind == strictyaml.String
		case "timeZone":
			ok = ok || slices.Contains([]string{"UTC", "Etc/UTC", "Z"}, e.Value.Text)
		}
		if !ok {
			o.problem(key+"."+e.Key, "only {type: period, period: …} in UTC is supported")
		}
	}
	if n.Get("period") == nil || n.Get("type") == nil {
		o.problem(key, "must be the name of a granularity, or {type: period, period: …}")
	}
	if len(o.b.problems) > before {
		return ""
	}
	return n.Get("period").Text
}
