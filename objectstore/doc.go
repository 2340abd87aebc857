// Package objectstore holds immutable objects under unique keys: five verbs, several backends, one contract suite
// (objectstoretest) that each of them passes.
//
// Invariants:
//   - an object appears whole, with the checksum that its Put named, or not at all;
//   - an object never changes: a key that is taken keeps its content until it is deleted;
//   - a List only finds candidates: what is live is the catalog's to say, and no decision about it rests on a List.
//
// Stores never decide what may be deleted, never retry on their own account what their service has not asked them to
// retry, and never interpret content.
package objectstore
