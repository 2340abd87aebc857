// Package lint holds tests that keep the repository's shape: which package may import which, and which libraries have
// only one door. It has no code of its own.
package lint
