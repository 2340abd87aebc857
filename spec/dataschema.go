package spec

import (
	"slices"
	"strings"
	"unicode"
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
	out.Dimensions, out.SortBy = b.dimensionsSpec(o.child("dimensionsSpec"))
	out.SegmentGranularity = b.granularitySpec(o.child("granularitySpec"))
	return out
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
		if name := nearest(out.Format, namedTimeFormats); name != "" && len(out.Format) < 7 {
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
	items := o.items("dimensions")
	if len(items) == 0 {
		o.problem("dimensions", "is missing or empty: name the columns; discovering them is not supported")
		return nil, nil
	}
	seen := map[string]string{}
	for i, item := range items {
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

func dimensionType(item object) DimensionType {
	switch v := item.text("type"); v {
	case "auto":
		item.problem("type", "auto is not supported: give string, long, double, float or json")
	case "spatial", "newSpatial":
		item.problem("type", "spatial columns are not supported")
	default:
		return DimensionType(item.oneOf("type", string(DimString), string(DimLong), string(DimDouble),
			string(DimFloat), string(DimJSON)))
	}
	return DimString
}

func (b *builder) checkExclusions(o object, seen map[string]string) {
	excluded := o.node.get("dimensionExclusions")
	if excluded == nil {
		return
	}
	for _, n := range excluded.list {
		if name, ok := seen[strings.ToLower(n.text)]; ok && n.text != "" {
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

func (b *builder) granularitySpec(o object) Granularity {
	o.oneOf("type", "uniform")
	if !o.given("rollup") {
		o.problem("rollup", "is missing, and Druid's default is true, which is not supported: set rollup: false")
	} else if o.boolean("rollup") {
		o.problem("rollup", "rollup is not supported: set rollup: false")
	}
	if name := o.chunk("queryGranularity"); name != "" && !strings.EqualFold(name, "none") {
		o.problem("queryGranularity", "%s is not supported; it must be none: truncate times in SQL", shown(name))
	}
	name := o.chunk("segmentGranularity")
	g, err := ParseGranularity(name)
	if err != nil && name != "" {
		o.problem("segmentGranularity", "%s", err)
	}
	return g
}

// chunk reads a granularity's name, or the period of Druid's {type: period, period: PT1H}. It is empty where a problem
// has been reported.
func (o object) chunk(key string) string {
	n := o.node.get(key)
	if n == nil || n.kind == kindString {
		return o.raw(key)
	}
	if n.kind != kindMap {
		return ""
	}
	before := len(o.b.problems)
	for _, e := range n.entries {
		ok := e.value.kind == kindNull
		switch e.key {
		case "type":
			ok = e.value.text == "period"
		case "period":
			ok = e.value.kind == kindString
		case "timeZone":
			ok = ok || slices.Contains([]string{"UTC", "Etc/UTC", "Z"}, e.value.text)
		}
		if !ok {
			o.problem(key+"."+e.key, "only {type: period, period: …} in UTC is supported")
		}
	}
	if n.get("period") == nil || n.get("type") == nil {
		o.problem(key, "must be the name of a granularity, or {type: period, period: …}")
	}
	if len(o.b.problems) > before {
		return ""
	}
	return n.get("period").text
}
