// Package app is the only place where concrete pieces meet: it opens the data directory, starts the roles in their order,
// and stops them in the reverse order (ARCHITECTURE.md). It decides nothing about data.
//
// Invariants: a directory is used by one process at a time (a file lock); the node id stays with the directory; whatever
// was started is stopped, also after a start that failed half-way.
package app
