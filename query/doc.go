// Package query answers one SELECT exactly: over the cold rows of one catalog view and the hot rows that partition
// owners hold from the committed offsets of that same view on. The two together are the cut, and it is returned with
// the answer.
//
// A query passes through these steps, each in its own files: the gate (gate, functions) admits one SELECT over known
// tables and reviewed functions, by DuckDB's syntax tree; the need (columnuse, need) says which hot rows and columns that can
// take; the snapshot (freshness, asking, missing, snapshot) takes one view and asks the owners for hot rows;
// the rules (rules, filtersql) are the plans of buckets, compiled: how raw rows become those of the table; the plan, a
// pure function (bounds, prune, plan), chooses buckets, segments and batches; the cache brings segments to local disk and
// verifies them; folding (fold, folded) rolls up, with package fold as compaction does, the rows that compaction has not;
// the views (views, sys…) put one temporary view under each table name; DuckDB runs the statement.
//
// Invariants: all tables of one answer are read at one cut. A segment reaches DuckDB only with its checksum verified. A
// row counts once per identity: in buckets of more than one unit the copies with a higher position are removed, and
// pruning never hides a possible winner from that decision. A table with rollup is the rolled-up table wherever its rows
// are: a group is read whole or not at all, so a short time is widened to whole chunks before raw rows are left out, and
// bounds of metrics leave out none. Owners may leave out only what neither an answer nor the search for copies can take.
// An answer without the hot rows of a partition is given only where the query allows it, and says so. Rows whose identity
// a sidecar knows have lost. What cannot be read is an error, never a smaller answer.
//
// The package never writes to the catalog or to the object store, and never reads Kafka.
package query
