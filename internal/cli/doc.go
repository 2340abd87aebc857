// Package cli holds the commands that talk to a running server: apply, sql, handoff, segments, status, get, suspend
// and resume.
//
// It owns flags, the text that people read, tables and exit codes. It never opens a catalog, a broker or a data file:
// everything goes through api/client. Commands that start servers or write to Kafka are made elsewhere and handed to
// NewRoot.
//
// Invariants: a command writes to the streams of its Env only, results to standard output and everything else to
// standard error; it returns its error, and Report alone prints errors and chooses the exit code (0 done, 1 refused or
// failed, 2 wrong usage, 3 no server answers, 130 interrupted); text that came from data is printed with its control
// characters escaped, except in the machine formats.
package cli
