package spec

// Class says what becomes of a field.
type Class string

// The classes. Nothing is ignored silently.
const (
	Used    Class = "used"
	Ignored Class = "no effect" // accepted, with a warning
	Refused Class = "refused"   // unless it says nothing: null, false, [], {}
)

// Kind is the form of a field's value.
type Kind string

// The forms.
const (
	KindText    Kind = "text"
	KindBool    Kind = "boolean"
	KindWhole   Kind = "whole number"
	KindPeriod  Kind = "period" // ISO 8601, of fixed length
	KindInstant Kind = "instant"
	KindObject  Kind = "object" // its fields are listed under its path
	KindList    Kind = "list"   // of objects, whose fields are listed under its path and [], or of names
	KindTexts   Kind = "list of texts"
	KindTextMap Kind = "texts by name"
	KindChunk   Kind = "granularity"
	KindAny     Kind = "any"
	// The package checks no more of these two than their form, and keeps them as JSON, nulls included.
	KindForeign     Kind = "object, as described"
	KindForeignList Kind = "list of objects, as described"
)

// Field is one field of a vocabulary. Path is that of the nested form ({type, spec: {…}}) of a supervisor spec.
type Field struct {
	Path    string
	Kind    Kind
	Class   Class
	Default string // what an absent field means; empty: nothing
	Note    string // what it does, or why it has no effect or is refused
}

// Fields returns the vocabulary of a supervisor spec, in the order of the documentation.
func Fields() []Field {
	var fields []Field
	fields = append(fields, topFields()...)
	fields = append(fields, dataSchemaFields()...)
	fields = append(fields, ioConfigFields()...)
	fields = append(fields, inputFormatFields()...)
	fields = append(fields, tuningConfigFields()...)
	return fields
}

// under puts a prefix before the paths.
func under(prefix string, fields []Field) []Field {
	for i := range fields {
		fields[i].Path = prefix + "." + fields[i].Path
	}
	return fields
}

func topFields() []Field {
	return []Field{
		{"type", KindText, Used, "", "must be `kafka`"},
		{"id", KindText, Used, "the dataSource", "id of the supervisor"},
		{"suspended", KindBool, Used, "false", "a suspended supervisor reads nothing; its rows stay"},
		{"context", KindAny, Ignored, "", "context of Druid's tasks"},
		{"spec", KindObject, Used, "", "dataSchema, ioConfig and tuningConfig; they may also stand beside type"},
		{"spec.dataSchema", KindObject, Used, "", "what becomes of a record"},
		{"spec.ioConfig", KindObject, Used, "", "what is read, and how"},
		{"spec.tuningConfig", KindObject, Used, "", "limits"},
	}
}

func dataSchemaFields() []Field {
	fields := []Field{
		{"dataSource", KindText, Used, "", "name of the table; letters, digits, `_`, `-` and `.`, at most 128"},
		{"timestampSpec", KindObject, Used, "", "where `__time` is found"},
		{"timestampSpec.column", KindText, Used, "timestamp", "field of the flattened record"},
		{"timestampSpec.format", KindText, Used, "auto", "auto, iso, posix, millis, micro, nano, ruby, or a Joda pattern"},
		{"timestampSpec.missingValue", KindInstant, Used, "", "time of a record without one, which is rejected " +
			"otherwise; refused with dedupSpec, as copies of a record must have one time"},
	}
	fields = append(fields, dimensionsFields("string", "the columns in order; a bare name is a string column. "+
		"Must not be empty: a table without named columns (schemaless) is not supported",
		Field{"dimensionsSpec.dimensionExclusions", KindTexts, Ignored, "", "the columns are the listed dimensions"})...)
	fields = append(fields, []Field{
		{"metricsSpec", KindForeignList, Used, "", "aggregators, each a column of the table; needs rollup. See Rollup"},
		{"transformSpec", KindForeign, Used, "", "transforms and a filter, applied to each record. See Rollup"},
		{"granularitySpec", KindObject, Used, "", "how time is cut"},
		{"granularitySpec.type", KindText, Used, "uniform", "must be `uniform`"},
		{"granularitySpec.segmentGranularity", KindChunk, Used, "day", "time chunk of a segment: second to year. " +
			"That of a datasource's first spec is the chunk in which copies are found, for ever"},
		{"granularitySpec.queryGranularity", KindChunk, Used, "none", "times are truncated to it: none, or second to " +
			"year, not coarser than segmentGranularity"},
		{"granularitySpec.rollup", KindBool, Used, "true", "true, as in Druid: rows with one time and equal dimensions " +
			"become one, with metrics; false: every record is a row"},
		{"granularitySpec.intervals", KindAny, Ignored, "", "a stream has no fixed intervals"},
		{"dedupSpec", KindObject, Used, "", "one row per key within a time chunk; not in Druid"},
		{"dedupSpec.key", KindText, Used, "", "field of the flattened record; it need not be a dimension"},
		{"dedupSpec.horizon", KindPeriod, Used, "P2147483647D", "how long after its chunk's end a record is checked " +
			"against earlier ones, by Kafka's timestamps; the default: for ever"},
		{"dedupSpec.beyondHorizon", KindText, Used, "reject", "reject, or accept: what becomes of a record that " +
			"comes later than that; needs horizon"},
		{"parser", KindAny, Refused, "", "Druid's older form: use timestampSpec, dimensionsSpec and ioConfig.inputFormat"},
		{"projections", KindAny, Refused, "", "projections do not exist"},
	}...)
	return under("spec.dataSchema", fields)
}

// dimensionsFields are those of a dimensionsSpec, which differ in a column's default type and in what excluding one means.
func dimensionsFields(defaultType, list string, exclusions Field) []Field {
	return []Field{
		{"dimensionsSpec", KindObject, Used, "", "the columns"},
		{"dimensionsSpec.dimensions", KindList, Used, "", list},
		{"dimensionsSpec.dimensions[].name", KindText, Used, "", "name of the column and of the flattened record's field"},
		{"dimensionsSpec.dimensions[].type", KindText, Used, defaultType, "string, long, double, float or json; " +
			"of `__time`: long"},
		{"dimensionsSpec.dimensions[].createBitmapIndex", KindBool, Ignored, "", "Parquet files have no bitmap indexes"},
		{"dimensionsSpec.dimensions[].multiValueHandling", KindText, Refused, "", "there are no multi-value columns; " +
			"a list becomes its JSON text"},
		{"dimensionsSpec.forceSegmentSortByTime", KindBool, Used, "true", "true: rows are sorted by `__time`, then the " +
			"dimensions; false: by the dimensions, with `__time` where it stands among them. json columns take no part"},
		exclusions,
		{"dimensionsSpec.includeAllDimensions", KindBool, Refused, "", "columns are not discovered"},
		{"dimensionsSpec.useSchemaDiscovery", KindBool, Refused, "", "columns are not discovered: list the dimensions"},
		{"dimensionsSpec.spatialDimensions", KindAny, Refused, "", "spatial columns do not exist"},
	}
}

func ioConfigFields() []Field {
	fields := []Field{
		{"type", KindText, Used, "kafka", "must be `kafka`"},
		{"topic", KindText, Used, "", "one topic; either it or topicPattern"},
		{"topicPattern", KindText, Used, "", "RE2 pattern of whole topic names"},
		{"consumerProperties", KindTextMap, Used, "", "properties of the Kafka client, listed below"},
		{"useEarliestOffset", KindBool, Used, "false", "where a partition that was never read begins: at its start, " +
			"or at its end. Later partitions of a known topic begin at their start"},
		{"inputFormat", KindObject, Used, "", "how a record is read"},
		{"lateMessageRejectionPeriod", KindPeriod, Used, "", "reject a record whose time lies further back than this " +
			"from its Kafka timestamp"},
		{"lateMessageRejectionStartDateTime", KindInstant, Used, "", "reject a record whose time lies before this; " +
			"either it or lateMessageRejectionPeriod"},
		{"earlyMessageRejectionPeriod", KindPeriod, Used, "", "reject a record whose time lies further ahead than this " +
			"of its Kafka timestamp; a day is the limit in any case"},
		{"taskDuration", KindPeriod, Used, "PT1H", "rows are handed off at the latest at this age"},
		{"taskCount", KindWhole, Ignored, "", "partitions are shared among all ingesting processes"},
		{"replicas", KindWhole, Ignored, "", "a partition has one reader; after a failure another one reads again"},
		{"stopTaskCount", KindWhole, Ignored, "", "there are no tasks to stop"},
		{"startDelay", KindPeriod, Ignored, "", "reading starts at once"},
		{"period", KindPeriod, Ignored, "", "changes are followed as they happen"},
		{"completionTimeout", KindPeriod, Ignored, "", "a handoff that fails is tried again"},
		{"pollTimeout", KindWhole, Ignored, "", "the client decides how long it waits"},
		{"idleConfig", KindAny, Ignored, "", "an idle partition costs nothing"},
		{"autoScalerConfig", KindAny, Ignored, "", "there are no tasks to scale"},
		{"emitTimeLagMetrics", KindBool, Ignored, "", "the lag is always measured"},
		{"configOverrides", KindAny, Refused, "", "set the consumerProperties"},
	}
	return under("spec.ioConfig", fields)
}

// flattenFields are those of flattenSpec, wherever one may stand.
func flattenFields(prefix string) []Field {
	return under(prefix, []Field{
		{"flattenSpec", KindObject, Used, "", "which fields a JSON value has"},
		{"flattenSpec.useFieldDiscovery", KindBool, Used, "true", "every field at the root is a field of the record"},
		{"flattenSpec.fields", KindList, Used, "", "further fields; a bare name is a field at the root"},
		{"flattenSpec.fields[].type", KindText, Used, "path", "root or path; jq and tree are refused"},
		{"flattenSpec.fields[].name", KindText, Used, "", "name in the flattened record"},
		{"flattenSpec.fields[].expr", KindText, Used, "", "of root: the field's name, name by default; " +
			"of path: `$`, then `.name`, `['name']` and `[index]`; `$` alone is the whole value"},
	})
}

func jsonFields(prefix string) []Field {
	fields := flattenFields(prefix)
	return append(fields, under(prefix, []Field{
		{"featureSpec", KindAny, Refused, "", "the JSON reader has no options"},
		{"assumeNewlineDelimited", KindBool, Refused, "", "a Kafka record holds one JSON object"},
		{"useJsonNodeReader", KindBool, Refused, "", "a Kafka record holds one JSON object"},
		{"keepNullColumns", KindBool, Ignored, "", "null is null"},
	})...)
}

func inputFormatFields() []Field {
	const at = "spec.ioConfig.inputFormat"
	fields := append([]Field{{at + ".type", KindText, Used, "", "json or kafka"}}, jsonFields(at)...)
	fields = append(fields, under(at, []Field{
		{"valueFormat", KindObject, Used, "", "of kafka: the format of the record's value"},
		{"valueFormat.type", KindText, Used, "", "json"},
	})...)
	fields = append(fields, jsonFields(at+".valueFormat")...)
	fields = append(fields, under(at, []Field{
		{"keyFormat", KindObject, Used, "", "of kafka: the format of the record's key; absent: the key is not read"},
		{"keyFormat.type", KindText, Used, "", "json (the first field of the key's value is the key), string (the " +
			"whole key as text), or csv or tsv with one column (the same as string)"},
		{"keyFormat.columns", KindTexts, Used, "", "of csv and tsv: one name"},
		{"keyFormat.findColumnsFromHeader", KindBool, Refused, "", "a key has no header line"},
		{"keyFormat.skipHeaderRows", KindWhole, Refused, "", "a key has no header line"},
		{"keyFormat.delimiter", KindText, Refused, "", "the whole key is one column"},
		{"keyFormat.listDelimiter", KindText, Refused, "", "there are no multi-value columns"},
	})...)
	fields = append(fields, jsonFields(at+".keyFormat")...)
	return append(fields, under(at, []Field{
		{"keyColumnName", KindText, Used, "kafka.key", "of kafka: field that holds the key"},
		{"headerFormat", KindObject, Used, "", "of kafka: how headers are read; absent: they are not read"},
		{"headerFormat.type", KindText, Used, "string", "must be `string`"},
		{"headerFormat.encoding", KindText, Used, "UTF-8", "must be `UTF-8`"},
		{"headerColumnPrefix", KindText, Used, "kafka.header.", "of kafka: before a header's name"},
		{"timestampColumnName", KindText, Used, "kafka.timestamp", "of kafka: field that holds the Kafka timestamp"},
		{"topicColumnName", KindText, Used, "kafka.topic", "of kafka: field that holds the topic"},
		{"partitionColumnName", KindText, Used, "kafka.partition", "of kafka: field that holds the partition; not in Druid"},
		{"offsetColumnName", KindText, Used, "kafka.offset", "of kafka: field that holds the offset; not in Druid"},
	})...)
}

func tuningConfigFields() []Field {
	fields := []Field{
		{"type", KindText, Used, "kafka", "must be `kafka`"},
		{"maxRowsPerSegment", KindWhole, Used, "5000000", "a handoff is cut exactly at the row that fills a segment"},
		{"maxTotalRows", KindWhole, Used, "20000000", "hot rows of one partition at which it hands off"},
		{"maxRowsInMemory", KindWhole, Used, "0", "as maxTotalRows: hot rows are not persisted in between; 0: no limit"},
		{"maxBytesInMemory", KindWhole, Used, "0", "hot bytes of one partition at which it hands off; 0 or −1: no limit " +
			"but the process's"},
		{"intermediateHandoffPeriod", KindPeriod, Used, "P2147483647D", "as taskDuration; the shorter one counts"},
		{"maxParseExceptions", KindWhole, Used, "-1", "more records than this that cannot be read halt the partition; −1: no limit"},
		{"reportParseExceptions", KindBool, Used, "false", "true: the first rejected record halts the partition"},
		{"resetOffsetAutomatically", KindBool, Used, "false", "true: offsets that the broker no longer has are recorded " +
			"as lost and reading goes on; false: the partition halts"},
		{"skipBytesInMemoryOverheadCheck", KindBool, Ignored, "", "bytes are counted as they are"},
		{"intermediatePersistPeriod", KindPeriod, Ignored, "", "hot rows are not persisted before their handoff"},
		{"maxPendingPersists", KindWhole, Ignored, "", "hot rows are not persisted before their handoff"},
		{"numPersistThreads", KindWhole, Ignored, "", "hot rows are not persisted before their handoff"},
		{"indexSpec", KindAny, Ignored, "", "segments are Parquet with zstd"},
		{"indexSpecForIntermediatePersists", KindAny, Ignored, "", "hot rows are not persisted before their handoff"},
		{"logParseExceptions", KindBool, Ignored, "", "rejected records are rows of `sys.rejects`"},
		{"maxSavedParseExceptions", KindWhole, Ignored, "", "every rejected record is a row of `sys.rejects`"},
		{"handoffConditionTimeout", KindWhole, Ignored, "", "a handoff is complete once it is committed"},
		{"segmentWriteOutMediumFactory", KindAny, Ignored, "", "segments are written in memory"},
		{"workerThreads", KindWhole, Ignored, "", "there are no worker threads"},
		{"chatThreads", KindWhole, Ignored, "", "there are no tasks to talk to"},
		{"chatRetries", KindWhole, Ignored, "", "there are no tasks to talk to"},
		{"httpTimeout", KindPeriod, Ignored, "", "there are no tasks to talk to"},
		{"shutdownTimeout", KindPeriod, Ignored, "", "there are no tasks to stop"},
		{"offsetFetchPeriod", KindPeriod, Ignored, "", "offsets are followed all the time"},
		{"repartitionTransitionDuration", KindPeriod, Ignored, "", "partitions never move between tasks"},
		{"numColumnMerges", KindWhole, Ignored, "", "segments are written in one pass"},
		{"maxColumnsToMerge", KindWhole, Ignored, "", "segments are written in one pass"},
		{"releaseLocksOnHandoff", KindBool, Ignored, "", "there are no locks"},
	}
	return under("spec.tuningConfig", fields)
}
