package spec

// CompactFields is the vocabulary of a compact task, in all of its generations.
func CompactFields() []Field {
	fields := append(taskFields("compact"), []Field{
		{"interval", KindText, Used, "", "what is compacted; ioConfig.inputSpec says the same"},
		{"segments", KindAny, Refused, "", "give ioConfig.inputSpec {type: segments, segments: [ids]}"},
		{"segmentGranularity", KindChunk, Used, "", "older form of granularitySpec.segmentGranularity"},
		{"keepSegmentGranularity", KindBool, Refused, "", "give granularitySpec.segmentGranularity, or leave it out to keep it"},
		{"dimensions", KindAny, Refused, "", "give dimensionsSpec.dimensions"},
		{"targetCompactionSizeBytes", KindWhole, Refused, "", "give tuningConfig.targetSegmentBytes"},
		{"ioConfig", KindObject, Used, "", "what is compacted"},
		{"ioConfig.type", KindText, Used, "compact", "must be `compact`"},
		{"ioConfig.inputSpec", KindObject, Used, "", "the interval or the segments"},
		{"ioConfig.inputSpec.type", KindText, Used, "", "interval or segments"},
		{"ioConfig.inputSpec.interval", KindText, Used, "", "ISO 8601 interval"},
		{"ioConfig.inputSpec.segments", KindTexts, Used, "", "ids of segments, as `sys.segments` has them: the time chunks that hold " +
			"them are compacted"},
		{"ioConfig.inputSpec.sha256OfSortedSegmentIds", KindText, Refused, "", "what is compacted is looked up when the task runs"},
		{"ioConfig.inputSpec.uncompactedSegments", KindAny, Refused, "", "segments that were compacted before are left alone " +
			"where nothing is to be gained"},
		{"ioConfig.dropExisting", KindBool, Ignored, "", "a compaction always replaces what it has read"},
		{"ioConfig.allowNonAlignedInterval", KindBool, Used, "false", "true: the interval may cut time chunks"},
		{"granularitySpec", KindObject, Used, "", "how time is cut from now on; what is left out stays as it is"},
		{"granularitySpec.type", KindText, Used, "uniform", "must be `uniform`"},
		{"granularitySpec.segmentGranularity", KindChunk, Used, "", "time chunk of a segment: second to year"},
		{"granularitySpec.queryGranularity", KindChunk, Used, "", "times are truncated to it; may only become coarser"},
		{"granularitySpec.rollup", KindBool, Used, "", "must be what the datasource has"},
		{"granularitySpec.intervals", KindAny, Ignored, "", "the task's interval counts"},
		{"metricsSpec", KindForeignList, Used, "", "metrics to keep, each as it is defined or in its combining form; " +
			"an empty list keeps none"},
		{"transformSpec", KindObject, Used, "", "a filter"},
		{"transformSpec.filter", KindForeign, Used, "", "keeps the rows for which it is true, from now on"},
		{"transformSpec.transforms", KindAny, Refused, "", "rows that are stored cannot be transformed"},
	}...)
	fields = append(fields, compactionDimensions()...)
	return append(fields, compactionTuningFields()...)
}

// KillFields is the vocabulary of a kill task.
func KillFields() []Field {
	return append(taskFields("kill"), []Field{
		{"interval", KindText, Used, "", "objects of segments in it that nothing shows any more are deleted"},
		{"markAsUnused", KindBool, Refused, "", "submit a markUnused task first"},
		{"versions", KindAny, Refused, "", "segments have no versions"},
		{"limit", KindWhole, Refused, "", "narrow the interval"},
		{"maxUsedStatusLastUpdatedTime", KindAny, Refused, "", "narrow the interval"},
		{"batchSize", KindWhole, Ignored, "", "objects are deleted in batches anyway"},
	}...)
}

// MarkUnusedFields is the vocabulary of a markUnused task.
func MarkUnusedFields() []Field {
	return append(taskFields("markUnused"), []Field{
		{"interval", KindText, Used, "", "rows in it are hidden for ever, whole time chunks only where there is dedup"},
		{"segmentIds", KindAny, Refused, "", "give interval: copies of a segment's rows may lie in others, and the number in an id is that of one moment"},
		{"segments", KindAny, Refused, "", "give interval, as for segmentIds"},
		{"versions", KindAny, Refused, "", "segments have no versions"},
	}...)
}

// taskFields are those of every task.
func taskFields(kind string) []Field {
	return append([]Field{
		{"type", KindText, Used, "", "must be `" + kind + "`"},
		{"id", KindText, Used, "made by the server", "id of the task; letters, digits, `_`, `-`, `.` and `:`, at most 255"},
		{"dataSource", KindText, Used, "", "the datasource"},
		{"groupId", KindText, Ignored, "", "tasks have no groups"},
		{"resource", KindAny, Ignored, "", "a task needs no slot of a worker's"},
		{"engine", KindText, Ignored, "", "there is one engine"},
		{"compactionRunner", KindAny, Ignored, "", "there is one engine"},
	}, contextFields("context")...)
}

// contextFields are those of a task's context.
func contextFields(at string) []Field {
	fields := []Field{{at, KindObject, Used, "", "how the task is run"}}
	return append(fields, under(at, []Field{
		{"priority", KindWhole, Used, "25", "higher ones run first"},
		{"policy", KindText, Used, "historical", "recent: merge new small segments only, which is cheap; historical: compact whole " +
			"time chunks; not in Druid"},
		{"taskLockTimeout", KindWhole, Ignored, "", "nothing waits for locks"},
		{"forceTimeChunkLock", KindBool, Ignored, "", "there are no locks: a compaction never holds up reading"},
		{"useConcurrentLocks", KindBool, Ignored, "", "there are no locks: a compaction never holds up reading"},
		{"useSharedLock", KindBool, Ignored, "", "there are no locks: a compaction never holds up reading"},
		{"taskLockType", KindText, Ignored, "", "there are no locks: a compaction never holds up reading"},
		{"storeEmptyColumns", KindBool, Ignored, "", "every column is there"},
		{"storeCompactionState", KindBool, Ignored, "", "it is always stored"},
		{"useLineageBasedSegmentAllocation", KindBool, Ignored, "", "names of segments are never given twice"},
		{"usePerfectRollup", KindBool, Ignored, "", "compacted time chunks are always rolled up perfectly"},
		{"maxNumTasks", KindWhole, Ignored, "", "a task runs in one process"},
		{"tags", KindAny, Ignored, "", "metrics have no tags"},
	})...)
}

func compactionDimensions() []Field {
	return dimensionsFields("", "columns to keep, in order; absent or empty: all that there are. A bare name keeps the "+
		"column's type, which cannot change",
		Field{"dimensionsSpec.dimensionExclusions", KindTexts, Used, "", "columns to leave out"})
}

func compactionTuningFields() []Field {
	return []Field{
		{"tuningConfig", KindObject, Used, "", "limits"},
		{"tuningConfig.type", KindText, Used, "index_parallel", "index_parallel, index or compaction, all the same"},
		{"tuningConfig.maxRowsPerSegment", KindWhole, Used, "", "most rows of a segment: 5,000,000 unless given; −1: not given"},
		{"tuningConfig.targetSegmentBytes", KindWhole, Used, "", "size that segments should have, approximately: 300,000,000 unless " +
			"given; not in Druid"},
		{"tuningConfig.maxRowsInMemory", KindWhole, Ignored, "", "the memory of a compaction is a setting of the server"},
		{"tuningConfig.maxBytesInMemory", KindWhole, Ignored, "", "the memory of a compaction is a setting of the server"},
		{"tuningConfig.maxRetry", KindWhole, Used, "3", "further attempts after one that failed"},
		{"tuningConfig.partitionsSpec", KindObject, Used, "", "how rows are cut into segments"},
		{"tuningConfig.partitionsSpec.type", KindText, Used, "dynamic", "dynamic: by rows and bytes; range (or single_dim): segments " +
			"are ranges of columns; hashed: cut as dynamic, with a warning, as rollup is perfect without it"},
		{"tuningConfig.partitionsSpec.maxRowsPerSegment", KindWhole, Used, "", "as tuningConfig.maxRowsPerSegment"},
		{"tuningConfig.partitionsSpec.targetRowsPerSegment", KindWhole, Used, "", "of range and hashed: as maxRowsPerSegment; " +
			"one of the two"},
		{"tuningConfig.partitionsSpec.partitionDimensions", KindTexts, Used, "", "of range: the columns, in order"},
		{"tuningConfig.partitionsSpec.partitionDimension", KindText, Used, "", "of single_dim: the column"},
		{"tuningConfig.partitionsSpec.assumeGrouped", KindBool, Ignored, "", "ranges are found from all rows"},
		{"tuningConfig.partitionsSpec.maxTotalRows", KindWhole, Ignored, "", "segments become visible together"},
		{"tuningConfig.partitionsSpec.numShards", KindWhole, Ignored, "", "the number of segments follows from their rows"},
		{"tuningConfig.partitionsSpec.partitionFunction", KindText, Ignored, "", "nothing is hashed"},
		{"tuningConfig.targetPartitionSize", KindWhole, Refused, "", "give maxRowsPerSegment"},
		{"tuningConfig.maxTotalRows", KindWhole, Ignored, "", "segments become visible together"},
		{"tuningConfig.numShards", KindWhole, Ignored, "", "the number of segments follows from their rows"},
		{"tuningConfig.partitionDimensions", KindAny, Refused, "", "give partitionsSpec {type: range, partitionDimensions: […]}"},
		{"tuningConfig.forceGuaranteedRollup", KindBool, Ignored, "", "compacted time chunks are always rolled up perfectly"},
		{"tuningConfig.maxNumConcurrentSubTasks", KindWhole, Ignored, "", "a task has no sub-tasks"},
		{"tuningConfig.maxNumSubTasks", KindWhole, Ignored, "", "a task has no sub-tasks"},
		{"tuningConfig.maxNumSegmentsToMerge", KindWhole, Ignored, "", "any number is merged, within the memory there is"},
		{"tuningConfig.totalNumMergeTasks", KindWhole, Ignored, "", "a task has no sub-tasks"},
		{"tuningConfig.splitHintSpec", KindAny, Ignored, "", "a task has no sub-tasks"},
		{"tuningConfig.maxAllowedLockCount", KindWhole, Ignored, "", "there are no locks"},
		{"tuningConfig.taskStatusCheckPeriodMs", KindWhole, Ignored, "", "a task has no sub-tasks"},
		{"tuningConfig.chatHandlerTimeout", KindPeriod, Ignored, "", "a task has no sub-tasks"},
		{"tuningConfig.chatHandlerNumRetries", KindWhole, Ignored, "", "a task has no sub-tasks"},
		{"tuningConfig.pushTimeout", KindWhole, Ignored, "", "an upload that fails is tried again"},
		{"tuningConfig.publishTimeout", KindWhole, Ignored, "", "segments become visible in one transaction"},
		{"tuningConfig.awaitSegmentAvailabilityTimeoutMillis", KindWhole, Ignored, "", "segments can be queried once the task has succeeded"},
		{"tuningConfig.indexSpec", KindAny, Ignored, "", "segments are Parquet with zstd"},
		{"tuningConfig.indexSpecForIntermediatePersists", KindAny, Ignored, "", "what is spilled has a form of its own"},
		{"tuningConfig.maxPendingPersists", KindWhole, Ignored, "", "what is spilled is written at once"},
		{"tuningConfig.numPersistThreads", KindWhole, Ignored, "", "what is spilled is written at once"},
		{"tuningConfig.skipBytesInMemoryOverheadCheck", KindBool, Ignored, "", "bytes are counted as they are"},
		{"tuningConfig.appendableIndexSpec", KindAny, Ignored, "", "there is one form of rows in memory"},
		{"tuningConfig.segmentWriteOutMediumFactory", KindAny, Ignored, "", "segments are written to disk, then uploaded"},
		{"tuningConfig.maxColumnsToMerge", KindWhole, Ignored, "", "any number is merged, within the memory there is"},
		{"tuningConfig.numColumnMerges", KindWhole, Ignored, "", "any number is merged, within the memory there is"},
		{"tuningConfig.reportParseExceptions", KindBool, Ignored, "", "nothing is parsed"},
		{"tuningConfig.logParseExceptions", KindBool, Ignored, "", "nothing is parsed"},
		{"tuningConfig.maxParseExceptions", KindWhole, Ignored, "", "nothing is parsed"},
		{"tuningConfig.maxSavedParseExceptions", KindWhole, Ignored, "", "nothing is parsed"},
	}
}

// AutoCompactionFields is the vocabulary of an auto-compaction config.
func AutoCompactionFields() []Field {
	fields := []Field{
		{"dataSource", KindText, Used, "", "the datasource"},
		{"taskPriority", KindWhole, Used, "25", "priority of the tasks"},
		{"policies", KindTexts, Used, "both", "recent (new small segments are merged often and cheaply) and historical (whole time " +
			"chunks, oldest first); not in Druid"},
		{"inputSegmentSizeBytes", KindWhole, Used, "100000000000000", "a time chunk with more bytes is left alone"},
		{"maxRowsPerSegment", KindWhole, Used, "", "older form of tuningConfig.maxRowsPerSegment"},
		{"skipOffsetFromLatest", KindPeriod, Used, "P1D", "leave so much alone, counted back from the end of the newest time chunk; " +
			"PT0S leaves nothing alone"},
		{"skipOffsetFromNow", KindPeriod, Used, "", "the same, counted back from now; one of the two"},
		{"granularitySpec", KindObject, Used, "", "as in a compact task"},
		{"granularitySpec.type", KindText, Used, "uniform", "must be `uniform`"},
		{"granularitySpec.segmentGranularity", KindChunk, Used, "", "as in a compact task"},
		{"granularitySpec.queryGranularity", KindChunk, Used, "", "as in a compact task"},
		{"granularitySpec.rollup", KindBool, Used, "", "as in a compact task"},
		{"granularitySpec.intervals", KindAny, Ignored, "", "every time chunk is looked at"},
		{"metricsSpec", KindForeignList, Used, "", "as in a compact task"},
		{"transformSpec", KindObject, Used, "", "as in a compact task"},
		{"transformSpec.filter", KindForeign, Used, "", "as in a compact task"},
		{"transformSpec.transforms", KindAny, Refused, "", "rows that are stored cannot be transformed"},
		{"ioConfig", KindObject, Used, "", "only dropExisting"},
		{"ioConfig.dropExisting", KindBool, Ignored, "", "a compaction always replaces what it has read"},
		{"engine", KindText, Ignored, "", "there is one engine"},
		{"projections", KindAny, Refused, "", "projections do not exist"},
	}
	fields = append(fields, compactionDimensions()...)
	fields = append(fields, compactionTuningFields()...)
	return append(fields, contextFields("taskContext")...)
}

// RuleFields is the vocabulary of one retention rule.
func RuleFields() []Field {
	return []Field{
		{"type", KindText, Used, "", "loadForever, loadByPeriod, loadByInterval, dropForever, dropByPeriod, dropBeforeByPeriod or " +
			"dropByInterval"},
		{"period", KindText, Used, "", "of …ByPeriod: ISO 8601, counted back from now; months and years are those of the calendar"},
		{"includeFuture", KindBool, Used, "true", "of loadByPeriod and dropByPeriod: time chunks that lie in the future match too"},
		{"interval", KindText, Used, "", "of …ByInterval: ISO 8601 interval"},
		{"tieredReplicants", KindAny, Ignored, "", "there are no tiers: object storage keeps the segments"},
		{"useDefaultTierForNull", KindBool, Ignored, "", "there are no tiers"},
		{"colocatedDataSources", KindAny, Refused, "", "datasources have no place that they could share"},
	}
}
