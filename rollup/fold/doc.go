// Package fold groups rows by truncated time and dimensions, and keeps one state per group and metric: the work that makes
// folded rows of raw ones, at handoff and in compaction. It also has the one order that rows stand in (Order).
//
// It opens no file and knows no catalog; it removes no copies (the caller says which rows to leave out), and it never
// spills: the caller watches Folder.Bytes, flushes, and merges what came out by AddFolded.
//
// Invariants:
//   - the folded rows depend on the multiset of the rows alone: any split into folders, flushed and folded again in any
//     order, gives equal rows, states included, in equal order;
//   - zero has one sign and NaN one form in a dimension, so that what SQL groups together is one group here;
//   - Arrow batches given to a Folder are borrowed: nothing is kept of them after a call.
package fold
