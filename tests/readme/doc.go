// Package readme holds the documents to the product: it runs every command of README.md against real processes and
// compares what it prints, and checks that links, verbs, flags and make targets exist.
package readme
