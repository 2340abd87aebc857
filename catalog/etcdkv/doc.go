// Package etcdkv is the catalog's store in etcd: every key below one prefix. It owns the client: TLS, user and password,
// which members are asked and for how long. It maps etcd's errors to what they say about the outcome. It knows nothing of
// what the keys mean, and never retries a transaction.
//
// Invariants: a transaction that was sent and whose reply is missing is unknown, never failed; one that no member has taken
// has not happened. No request waits longer than Options.RequestTimeout for one member, whatever its context allows. A watch
// ends, instead of falling silent, when its member has lost the leader. An answer of another cluster than the first is
// refused. No error shows the password.
package etcdkv
