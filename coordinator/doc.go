// Package coordinator keeps the supervisors and shares the partitions that they read among the ingesting processes.
//
// It owns the decision what a submitted spec changes (a pure function of the catalog's view and the spec), the decision
// who reads which partition (a pure function of nodes, wanted partitions and owners), the loop that acts on the latter in
// this process, and the status that people see. It never reads a record, opens no segment, and decides nothing about rows.
//
// Invariants:
//   - A submission changes everything it says or nothing. Submitting the same spec again changes nothing.
//   - A column's id and type are final, as are a datasource's time chunk and whether and by which key it removes copies.
//   - A worker runs only for a partition that this process has acquired, under the epoch that it acquired.
//   - Per partition one step (acquire and start, stop and release, handoff) runs at a time; a partition that fails, or is
//     slow, holds up no other one.
//   - That two processes share the partitions differently for a moment is harmless: the catalog lets one own a partition,
//     and its epoch fences every commit.
package coordinator
