// Package memkv is a revisioned key-value store in memory, with the semantics of etcd that the catalog relies on: one
// revision per changing transaction, reads at old revisions until they are compacted, watches of whole revisions in
// order, and leases whose keys go in one revision.
//
// It owns nothing outside the process and keeps nothing on disk: it serves tests and the property suite. Leases expire
// by the injected clock, at the next request after their time.
package memkv
