// Package segment is the unit of storage: the identity of rows, the columns of hot batches and of files, what is kept
// about a segment, and the way between Arrow and Parquet. It opens no connection and knows no catalog.
//
// Invariants:
//   - equal rows in equal order give equal bytes: a file holds no time of creation, host or version of a library;
//   - every column of every file carries the field id that the schema gave it;
//   - the bounds in a Meta hold for every row, so that leaving a segment out by them never changes an answer;
//   - bytes from outside (objects, their metadata, checksums) never panic: they are good, or ErrCorrupt.
package segment
