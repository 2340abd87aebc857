// Package duckdb is the only door to DuckDB. It opens one in-memory database per process with its limits set and its
// configuration locked, scans Arrow batches in place through a table function written in C, and hands results out as
// JSON, text or Go values, or as Arrow records while the statement runs.
//
// It never decides what a query means: which SQL is admitted, which rows it sees and how types are named for users
// belong to package query. It never reads object storage; files are read only below the directories named at Open.
//
// Invariants:
//   - A batch given to AddScan is retained until its session is closed, so that vectors may point into its memory.
//   - Records are copies too, of which the session holds one at a time.
//   - Results are materialised: they hold copies, and no batch is needed once Query has returned.
//   - A scan is seen only by the session that added it, and every mention of its token reads the same batches.
//   - When Query or Exec returns, nothing of the statement runs any more, whether it ended, failed or was interrupted.
//   - Sessions close before their database; Close waits for them.
package duckdb
