// Package etcdkv is the catalog's store in etcd: every key below one prefix. It owns the client and maps etcd's errors
// to what they say about the outcome: a transaction whose reply is missing is unknown, never failed. It knows nothing of
// what the keys mean, and never retries a transaction.
package etcdkv
