// Package app is the only place where concrete pieces meet. It wires one process: drumlin dev, with every role and with the
// servers that it stands on, or drumlin server, with some roles beside those servers. It starts the parts in their order and
// stops them in the reverse order (ARCHITECTURE.md). It decides nothing about data.
//
// Invariants: a data directory of drumlin dev is used by one process at a time (a file lock), and the node id stays with it;
// what a server needs from outside may come later, and until then its HTTP interface says what is waited for; whatever was
// started is stopped, also after a start that failed half-way.
package app
