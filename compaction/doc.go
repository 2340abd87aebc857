// Package compaction makes few large segments of many small ones: it plans (a pure function of a view and a task), merges,
// removes copies, rolls up, and swaps the heads of buckets in the catalog. It also deletes the objects that nothing shows
// any more.
//
// PlanTask and Decide are the planner: what a task comes to at a view, and what a standing policy would choose, each chunk
// with its reason. The Executor carries out one job and uploads objects. The Worker binds the two: for each chunk it claims
// the buckets, plans on a view read under the claim, has the executor write, and swaps. The Collector deletes.
//
// The package never decides who works or when (the coordinator does), never reads the wall clock for a decision (now is an
// argument), and never tells by itself whether a task has succeeded: the heads in the catalog do.
//
// Invariants of the planner:
//   - A chunk is the buckets that are swapped together. Buckets that once share a manifest stay together; a coarser
//     segmentGranularity joins whole groups, empty buckets too, and a finer one cuts segments inside a group.
//   - A chunk that the task's interval covers only in part is taken whole where that changes nothing that queries see.
//     Where it would (a new plan), or where the interval cuts through chunks of the segmentGranularity asked for, the task is
//     refused unless allowNonAlignedInterval is set.
//   - Plans only narrow, and only as the task says: chunks join where each one's own plan, narrowed as the task says, is the
//     common one. A number means one plan in every head; equal plans of a chunk keep their number.
//   - What has been done is not done again. The layout that a chunk was made by stands in its manifest
//     (Manifest.LastCompaction); a chunk without a tail whose plan and layout are those asked for is left alone.
//   - A standing policy writes settled rows again only where the tail is a tenth of them, where they lie in twice as many
//     segments as they need, or where its config asks for another plan or layout. Tail segments merge by size, each row
//     once a tier. TestPoliciesComeToRest holds both to it.
//
// Invariants of the executor:
//   - Which rows stay is decided before anything is filtered or aggregated: an identity that a sidecar knows loses always, of the
//     others the lowest position wins. No identity is lost with its row: the new sidecars hold it, unless the job forgets them.
//   - Records that go in come out, or are counted as copies or as filtered; Run holds the sums against each other.
//   - Equal inputs give equal bytes, whatever the order they are listed in, the memory, and the tree of merges before.
//   - Objects are held against the size and checksum that the catalog names before a row of them is believed, and a sidecar or a
//     sorted input that is out of order is segment.ErrCorrupt. What is uploaded has a name that is never used again.
//   - A job's temporary files have no names and its goroutines end before Run returns.
//
// Invariants of the worker:
//   - What counts is the view read under the claim. A lost swap, a reply that was lost and an input that has gone mean: plan
//     again. Nothing is cleaned up, since what looks like waste may be live.
//   - A swap is made on the view that its job was planned on, and an error of one chunk stops no other.
//
// Invariants of the collector:
//   - It deletes only what the catalog's facts (catalog.Collection) let go, and tells of everything else why it stays.
//   - What was replaced stays for the grace period. A marker that is missing or cannot be read only lengthens an object's life,
//     but for that period.
//   - Stopped anywhere, run twice or by two processes at a time, it deletes nothing more; what was left comes with the next run.
package compaction
