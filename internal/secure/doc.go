// Package secure says who may do what, and over which connections: tokens with roles, TLS for servers and clients with
// certificates that are read again when their files change, and secrets that no log, error or answer can show by
// accident.
//
// It knows nothing of HTTP or gRPC: package api and package peer find the token in a request and ask Access about it. It
// never writes a file, never logs, and keeps no token in the clear once Access is made.
//
// Invariants: what a presented token is compared with is a hash, all of them every time, so that the time of an answer
// tells nothing. A certificate that cannot be read any more leaves the one that was read before in use.
package secure
