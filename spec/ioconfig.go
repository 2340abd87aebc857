package spec

import (
	"slices"
	"strings"
)

func (b *builder) ioConfig(o object) IOConfig {
	o.oneOf("type", "kafka")
	out := IOConfig{
		ConsumerProperties:       b.kafkaProperties(o),
		UseEarliestOffset:        o.boolean("useEarliestOffset"),
		LateRejectionMillis:      o.period("lateMessageRejectionPeriod"),
		EarlyRejectionMillis:     o.period("earlyMessageRejectionPeriod"),
		LateRejectionStartMillis: o.instant("lateMessageRejectionStartDateTime"),
	}
	if o.given("lateMessageRejectionPeriod") && o.given("lateMessageRejectionStartDateTime") {
		o.problem("lateMessageRejectionStartDateTime", "cannot be combined with lateMessageRejectionPeriod: "+
			"only one of the two can be set")
	}
	out.Topic, out.TopicPattern = b.topic(o)
	if !o.given("inputFormat") {
		o.problem("inputFormat", "is missing: say {type: json}")
		return out
	}
	out.Input = b.inputFormat(o.child("inputFormat"))
	return out
}

func (b *builder) topic(o object) (topic, pattern string) {
	switch {
	case o.given("topic") && o.given("topicPattern"):
		o.problem("topicPattern", "cannot be combined with topic: only one of the two can be set")
	case o.given("topicPattern"):
		pattern = o.need("topicPattern", "a pattern of topic names")
		if _, err := CompileTopicPattern(pattern); err != nil {
			o.problem("topicPattern", "%s", err)
		}
	default:
		topic = o.need("topic", "the topic to read, or topicPattern")
		if topic != "" && (len(topic) > 249 || topic == "." || topic == ".." ||
			strings.ContainsFunc(topic, func(c rune) bool { return !nameCharacter(c) })) {
			o.problem("topic", "%s is not a topic's name: letters a–z and A–Z, digits, _, - and ., at most 249; "+
				"several topics are read by topicPattern", shown(topic))
		}
	}
	return topic, pattern
}

func (b *builder) inputFormat(o object) InputFormat {
	kafkaOnly := []string{
		"valueFormat", "keyFormat", "keyColumnName", "headerFormat", "headerColumnPrefix", "timestampColumnName",
		"topicColumnName", "partitionColumnName", "offsetColumnName",
	}
	if o.oneOf("type", "json", "kafka") == "json" {
		for _, key := range kafkaOnly {
			if o.given(key) {
				o.problem(key, "belongs to inputFormat type kafka")
			}
		}
		return InputFormat{Value: b.flattenSpec(o)}
	}
	if o.given("flattenSpec") {
		o.problem("flattenSpec", "of type kafka belongs into valueFormat")
	}
	out := InputFormat{Kafka: b.kafkaFormat(o)}
	value := o.child("valueFormat")
	if !o.given("valueFormat") {
		o.problem("valueFormat", "is missing: say {type: json}")
		return out
	}
	value.oneOf("type", "json")
	out.Value = b.flattenSpec(value)
	return out
}

func (b *builder) kafkaFormat(o object) *KafkaFormat {
	out := &KafkaFormat{
		KeyColumn:       o.text("keyColumnName"),
		HeaderPrefix:    o.text("headerColumnPrefix"),
		Headers:         o.given("headerFormat"),
		TimestampColumn: o.text("timestampColumnName"),
		TopicColumn:     o.text("topicColumnName"),
		PartitionColumn: o.text("partitionColumnName"),
		OffsetColumn:    o.text("offsetColumnName"),
	}
	header := o.child("headerFormat")
	header.oneOf("type", "string")
	header.oneOf("encoding", "UTF-8")
	keys := []string{"keyColumnName", "timestampColumnName", "topicColumnName", "partitionColumnName", "offsetColumnName"}
	var names []string
	for _, key := range keys {
		name := o.text(key)
		switch {
		case name == "":
			o.problem(key, "must not be empty")
		case slices.Contains(names, name):
			o.problem(key, "the name %s is used twice", shown(name))
		}
		names = append(names, name)
	}
	if o.given("keyFormat") {
		b.keyFormat(o.child("keyFormat"), out)
	}
	return out
}

func (b *builder) keyFormat(o object, out *KafkaFormat) {
	kind := o.oneOf("type", "json", "string", "csv", "tsv")
	if kind == "json" {
		flatten := b.flattenSpec(o)
		out.KeyFormat = &flatten
	} else {
		out.KeyAsString = true
		if o.given("flattenSpec") {
			o.problem("flattenSpec", "belongs to type json")
		}
	}
	columns := o.node.Get("columns")
	switch kind {
	case "csv", "tsv":
		if columns == nil || len(columns.List) != 1 {
			o.problem("columns", "must name one column: the whole key is read as one text")
		}
		o.b.warnings = append(o.b.warnings, o.shownPath("type")+": the whole key is read as one text, separators and "+
			"quotes included")
	default:
		if columns != nil {
			o.problem("columns", "belongs to type csv or tsv")
		}
	}
}

func (b *builder) flattenSpec(parent object) FlattenSpec {
	o := parent.child("flattenSpec")
	out := FlattenSpec{Discovery: o.boolean("useFieldDiscovery")}
	seen := map[string]bool{}
	for _, item := range o.items("fields") {
		f := FlattenField{Name: item.need("name", "the field's name"), Expr: item.text("expr")}
		if seen[f.Name] {
			item.problem("name", "the field %s is made twice", shown(f.Name))
		}
		seen[f.Name] = true
		f.Type = b.flattenType(item)
		switch {
		case f.Type == "path" && f.Expr == "":
			item.problem("expr", "is missing: a path such as $.user.id")
		case f.Type == "path":
			if _, err := ParsePath(f.Expr); err != nil {
				item.problem("expr", "%s", err)
			}
		case f.Expr == "":
			f.Expr = f.Name
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

// flattenType reads a field's type; a bare name is a field at the root.
func (b *builder) flattenType(item object) string {
	if !item.given("type") && len(item.node.Entries) == 1 {
		return "root"
	}
	return item.oneOf("type", "path", "root")
}

func (b *builder) tuningConfig(o object) TuningConfig {
	o.oneOf("type", "kafka")
	out := TuningConfig{
		MaxRowsPerSegment:         o.whole("maxRowsPerSegment", 1),
		MaxTotalRows:              o.whole("maxTotalRows", 1),
		MaxRowsInMemory:           o.whole("maxRowsInMemory", 0),
		MaxBytesInMemory:          max(0, o.whole("maxBytesInMemory", -1)),
		IntermediateHandoffMillis: o.period("intermediateHandoffPeriod"),
		MaxParseExceptions:        o.whole("maxParseExceptions", -1),
		ResetOffsetAutomatically:  o.boolean("resetOffsetAutomatically"),
	}
	if o.boolean("reportParseExceptions") {
		if o.given("maxParseExceptions") && out.MaxParseExceptions != 0 {
			o.problem("reportParseExceptions", "contradicts maxParseExceptions: it means 0")
		}
		out.MaxParseExceptions = 0
	}
	return out
}
