// Package client speaks to a Drumlin server over HTTP: it is what the command line uses, and any Go program may.
//
// It owns the requests, the decoding of answers, the detection of truncated answers, and the turning of a server's
// error objects into typed errors. It never retries, never prints, and keeps no state but a pool of connections.
//
// Invariants: an answer that was cut off is an error, never a shorter answer; a server that cannot be reached is an
// *Unreachable, a request that it refused or failed is an *Error.
package client
