// Package indexer makes the Parquet objects of a handoff: from the hot batches of one offset range it removes the copies of
// an identity, sorts or folds, splits by bucket and by size, writes and uploads. The commit that makes the objects live is the
// catalog's, and its caller's.
//
// Invariants:
//   - without dedup, the rows of a rollup datasource are folded here, by the datasource's own plan, and never filtered by it;
//     rows with an identity are kept one by one, and rows of a datasource without rollup stay as ingested;
//   - rows in = rows stored + duplicates, where a folded row counts as the records that it stands for; of the copies of one
//     identity inside the range the lowest offset stays; a row without an identity is never a duplicate;
//   - every segment holds rows of one bucket, sorted by the schema's order, nulls first, then by offset, or, where they are
//     folded, by the plan's order;
//   - equal input gives equal bytes; only the names of the objects differ;
//   - batches are borrowed: Build neither keeps nor releases them, and has let go of them when it returns;
//   - an object that was uploaded for a handoff that then failed is left alone: nothing names it, and garbage collection
//     takes it once its epoch is dead. Nothing is ever cleaned up after an unknown outcome.
package indexer
