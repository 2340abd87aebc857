// Package catalogtest holds what tests of the catalog and of its users share: the contract suite that every backend
// passes (Run), a backend wrapper that injects faults (Faulty), an object store in memory (Objects), and builders of
// valid commits. It is imported by tests only.
package catalogtest
