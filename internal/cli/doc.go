// Package cli holds the commands that talk to a running server (apply, sql, handoff, gap, segments, status, compact, task,
// autocompact, rules, get, suspend and resume) and those that feed Kafka's topics (generate, produce and topic).
//
// It owns flags, the text that people read, tables and exit codes. It never opens a catalog or a segment: what it says to
// a server goes through api/client, what it says to brokers through internal/producer. Commands that start servers are made
// elsewhere and handed to NewRoot.
//
// Invariants: a command writes to the streams of its Env only, results to standard output and everything else to
// standard error; it returns its error, and Report alone prints errors and chooses the exit code (0 done, 1 refused or
// failed, 2 wrong usage, 3 no server answers, 130 interrupted); text that came from data is printed with its control
// characters escaped, except in the machine formats.
package cli
