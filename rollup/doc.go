// Package rollup aggregates rows into mergeable states: the metrics of a rollup datasource, as handoff, compaction and
// query all use them. A list of metrics (ParseMetrics) compiles into a Plan; a Plan makes States, one state per group and
// metric, which take rows and stored states alike and give state columns or final values.
// It also reads transformSpecs (ParseTransforms): expressions over the fields of one record, and a filter of records, for ingest.
//
// It never groups: the caller numbers the groups. It reads and writes no object, and knows no SQL, no plan numbers and no
// field ids.
//
// Invariants:
//   - a state depends on the multiset of the rows alone: any tree of merges over any split of them gives the same bytes,
//     sums of doubles included, which are exact (docs/format/rollup.md says where machines may differ);
//   - what combines a metric is a property of its stored state, never of the aggregator's name: count combines by sum;
//   - one NaN cannot poison an aggregate: values that an aggregator cannot use are left out and counted (States.LeftOut);
//   - a sum never wraps: it is exact inside, and a final value that does not fit is an OverflowError;
//   - an expression is a function of the record's fields: no clock, no chance, no library function whose last bit differs between
//     machines; it takes time and memory within limits that are written down;
//   - states from outside are good, or segment.ErrCorrupt; they cause no panic, and no allocation beyond their size;
//   - Arrow batches are borrowed: nothing is kept of them after a call.
package rollup
