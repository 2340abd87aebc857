// Package compaction makes few large segments of many small ones: it plans (a pure function of a view and a task), merges,
// removes copies, rolls up, and swaps the heads of buckets in the catalog. It also deletes the objects that nothing shows
// any more.
package compaction
