package rollup

import (
	"drumlin/spec"
)

// Definition is what the rows of a bucket are seen through: the plan that its head names, by value. It is immutable. The
// order of its work on deduplicated rows is: filter, truncate __time, keep Dimensions, and where Rollup is set group by
// (__time, Dimensions) and aggregate Metrics. A definition only ever narrows (Narrow), because folded rows cannot follow
// anything else.
type Definition struct {
	Rollup bool
	// QueryGranularity truncates __time; the zero value keeps it.
	QueryGranularity spec.Granularity
	// Dimensions are the columns that rows keep, in the table's order, without __time. nil: all that the schema has (never
	// nil where Rollup is set).
	Dimensions []string
	Metrics    []Metric // where Rollup is set
	// Filter keeps the rows for which it is true; nil: all. It reads columns of Dimensions and __time only.
	Filter *Filter
	// SortBy is the order of rows in every file: names among Dimensions, with __time in its place. Rows that it leaves
	// equal are ordered by the remaining Dimensions (folded) or by position (raw).
	SortBy []string
}
