// Package bridge fits the query engine and the coordinator to the interfaces that package api declares.
//
// It owns the translation of types and, above all, of errors: which kind of failure is whose fault, and so which
// status code a caller sees. It decides nothing else and holds no state.
//
// Invariant: an error that is not known here is passed on as it is, and api takes it for ours.
package bridge
