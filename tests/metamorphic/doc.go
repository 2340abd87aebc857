// Package metamorphic shows that compaction does not show: a frozen random log is read, handed off, compacted, folded,
// narrowed, discarded, dropped, collected, crashed and raced in a random order by real components, and after every step the
// answers of SQL must be those that plain Go computes from the log at the answer's own cut.
//
// Real are the catalog (over a store in memory), the object store in memory, indexer, consumer, coordinator (for specs),
// query engine with DuckDB, executor, worker and collector. Made up is only the broker. The oracle takes facts from the
// catalog (what was committed when and under which facts, which head named which plan when), never answers.
//
// Nothing sleeps. A failure prints its seed and the schedule so far; DRUMLIN_TEST_SEED repeats it.
package metamorphic
