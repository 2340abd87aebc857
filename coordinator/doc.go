// Package coordinator keeps the supervisors and shares the partitions that they read among the ingesting processes; and it
// keeps the queue of tasks and runs it in the compacting ones.
//
// It owns the decision what a submitted spec changes (a pure function of the catalog's view and the spec), the decision
// who reads which partition (a pure function of nodes, wanted partitions and owners), the decision which task runs next (a
// pure function of the tasks), the loops that act on them in this process, and the status that people see. It never reads a
// record, opens no segment, and decides nothing about rows: what a compaction does is decided by package compaction.
//
// Invariants:
//   - A submission changes everything it says or nothing. Submitting the same spec again changes nothing.
//   - A column's id and type are final, as are a datasource's time chunk and whether and by which key it removes copies.
//   - A worker runs only for a partition that this process has acquired, under the epoch that it acquired.
//   - Per partition one step (acquire and start, stop and release, handoff) runs at a time; a partition that fails, or is
//     slow, holds up no other one.
//   - That two processes share the partitions differently for a moment is harmless: the catalog lets one own a partition,
//     and its epoch fences every commit.
//   - A process says which supervisors' brokers do not answer it, and gets nothing of these where another can read them. It keeps
//     what it owns until another seems able, and hands it off; where none is, nothing moves.
//   - Nobody waits for a last handoff longer than the stop timeout: the partition is released as it is, and read again.
//   - A partition that the catalog says this process owns is read or given back here, also where the reply to the request that made it
//     so was lost.
//   - A task's state is what the catalog says. Whoever changes it compares the value that he has read, and a process changes
//     a running task only while the task names the claim under which it began. A running task whose claim is gone is begun
//     anew by anyone; what it has done already is found done.
//   - A floor is raised only to where every partition that may still bring rows below it says so by its own clock.
//
// Standing duties (policies, retention, collection, forgetting ended tasks) run in one process at a time, the holder of a
// claim. That two do so for a moment is harmless: each of their writes compares what it has read.
//
// Several processes are one cluster by the catalog alone: what others read, run and hold is in the view, and what only a partition's
// reader or a task's runner knows is asked of him (Peers), each process once and within a second. One that does not answer is named;
// what it knows is then unknown, and never taken for nothing.
//
// While the store does not answer, everything goes on: workers read, tasks run, and what has to be written down is tried again. The
// session is lost only when the store says that its lease is gone; then the hot rows are dropped and read again by whoever acquires
// their partitions.
//
// A session starts in this order: registration of the node · sharing of partitions, discovery of topics · tasks · duties.
// It ends: the node announces that it leaves, so that others get each partition as soon as it is released · no new steps, tasks or
// duties, and running tasks are put back (or left, where the session is lost) while the hot rows are handed off · partitions
// released · tasks and duties waited for · the lease revoked.
package coordinator
