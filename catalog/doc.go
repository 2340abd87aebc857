// Package catalog says what is live: the commits of every partition, the compacted state of every bucket, who owns
// what, and the numbered versions of specs and schemas. The protocol is written once, here, over a small revisioned
// key-value store (KV) that has two backends: catalog/etcdkv and catalog/memkv. docs/format/catalog.md lists every key,
// value and object.
//
// The package owns the transactions and their verdicts, the view that readers plan by, leases and fencing epochs, and
// the record and manifest objects that a rebuild needs. It never opens a segment, never talks to Kafka, and never
// deletes an object: it only says which objects may go.
//
// Invariants:
//   - Whatever makes data live is one transaction that compares the fencing epoch (the create_revision of own/… or
//     claim/…), the value that it replaces, and the format key. No lease and no clock is ever believed.
//   - The record or manifest object is written before the transaction that names it. Its name is unique.
//   - Law 1 (To−From = sum of the counters) holds for every commit: checked before writing and after reading. The
//     commits of a partition's generation tile [start, Next) without a gap or an overlap.
//   - A commit is visible in a bucket exactly while its create_revision lies above the head's absorbed revision, and its
//     key goes only once every bucket it belongs to, its rejects bucket included, lists it in a manifest.
//   - Buckets that share a manifest change their heads in one transaction, or not at all.
//   - A View is immutable, complete and of one revision; the revision of successive views never falls.
//   - An unknown outcome is a result of its own (ErrUnknown): the caller reads back, and cleans nothing up.
package catalog
