// Package peer is how the processes of a cluster ask each other: hot rows of partitions that another process owns, and a few
// questions and orders about partitions and tasks. It speaks Arrow Flight over gRPC; docs/format/peer.md describes every
// byte of it.
//
// It owns the wire: a server in front of this process's consumer, a client that keeps one connection to each address, and
// a router that finds out, by the newest view of the catalog, whom to ask. It never decides who owns a partition, and never
// repeats an order by itself. Rows that have come are kept for the next query (shape, held, hotcache), within a bound.
//
// Invariants:
//   - Hot rows arrive whole or not at all: the stream ends with a count of what it held, and one that is cut, disturbed or
//     counts otherwise is an error.
//   - Whatever comes over the wire is checked before it is an Arrow array: types, lengths, offsets of texts, UTF-8, the order
//     of offsets, bounds, counts. Received rows stand in memory of the client's allocator, never in the buffers they came in.
//   - Every query asks the owner. Kept rows only spare what he would send once more: those of the reading that he names, in
//     the shape that is needed, below the offset from which he goes on, and as many as he counts, where all times are kept.
//     Everything else is dropped.
//   - Pushing down only ever leaves out: columns that were not asked for, rows outside the asked times, rejects. What is sent
//     is exactly what the owner holds, and the counters stay those of the whole range.
//   - An error by which a caller decides is the same error on both sides of the wire. A process that cannot be reached, or
//     has fallen silent, is ErrUnreachable.
//   - A process that answers shows at least once a second that it is alive, so a silent one is given up after seconds,
//     however long the order it was given may take.
package peer
