// Package consumer reads Kafka partitions that this process owns, keeps their newest rows hot in Arrow batches, answers
// readers from them, and hands them off through the indexer and the catalog.
//
// It owns the life of a record from the broker to the commit: fetching, judging, identity, hot memory and its budget,
// the decision where a commit ends, and the reply to a reader's cut. It never chooses which partitions to own (the
// coordinator does), never writes Parquet (the indexer does), and never decides by the wall clock or by memory what
// becomes of a record: the clock and the budget only decide when a commit ends, never what it holds.
//
// Invariants:
//   - One partition is one worker: its loop alone moves the position, cuts and changes the facts. Everything that takes
//     long (a handoff, an acknowledgement, a gap) is a step, and steps of a partition run one at a time, in order.
//   - Commits tile the log: a step begins where the one before it ended, and counts every offset of its range once.
//   - A batch never spans two commits or two sets of facts.
//   - Hot rows are dropped only after the commit that holds them, and then kept for a short grace for readers whose view
//     is older. A reply begins exactly at the offset that was asked, or is refused.
//   - A commit that the catalog's store does not answer is made again, the same, until its outcome is known; reading goes
//     on meanwhile, up to the limit of hot memory.
//   - A failure that is repeated shows in the status from its first attempt on, and brokers that do not answer from the first
//     question on that they leave open.
//   - After a lost ownership, a moved offset or an outcome that can no longer be found out the worker ends and drops what it
//     holds; whoever acquires the partition next reads the log again from the committed offset.
//
// Start order of a worker: offset (or its beginning), spec and schema of the recorded facts, the topic's id and bounds,
// the source, the loop. Stop order: fetching, the loop (with a last handoff where asked), running steps, the source,
// then the hot batches.
package consumer
