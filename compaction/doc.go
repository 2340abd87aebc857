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
package compaction
