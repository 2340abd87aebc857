// Package api is Drumlin's door for people and programs: HTTP in Druid's paths and shapes.
//
// It owns the decoding of requests, the encoding of answers in Druid's result formats, Druid's error objects and the
// status codes that go with them, the registry of running queries (so that they can be cancelled by id), and what
// every request gets: a log line, metrics, recovery from panics, limits on bodies, a look at its token, and a check that a web page
// elsewhere cannot use a server that listens on loopback.
//
// It never plans or runs a query, never reads the catalog, and never decides what a valid spec is or what in it is secret: for that it calls
// the small interfaces that it declares (Queries, Supervisors, Controls, Tasks, TaskOutputs, AutoCompaction,
// CompactionProgress, Rules, Health). It keeps no state beyond the running
// queries, and starts no goroutine.
//
// Invariants:
//
//   - Everything that a caller can get wrong is answered in 4xx with a Druid error object that names the thing; what
//     is ours is 5xx.
//   - Answers arrive here complete, so an error always precedes the first byte. Should writing fail all the same, the
//     connection is cut: a truncated answer is never ended as if it were whole. The line formats and csv end, as
//     Druid's do, in one blank line, which a reader can check.
//   - Every route says in the table of routes who may use it; one that does not is refused when the handler is made. What a
//     token allows is decided by internal/secure; the log names the token, never its value.
//   - An answer is closed exactly once, whatever becomes of the connection.
package api
