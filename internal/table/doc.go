// Package table draws tables of text for terminals and for files.
//
// It owns widths (in terminal cells, so that East Asian text and emoji line up), alignment, the truncation of wide
// cells, and making cells safe to print: line ends and control characters, which could drive a terminal, are shown as
// escapes. It never decides what is in a table, never asks how wide the terminal is, and holds no state.
//
// Invariants: every line has the same columns at the same cells; no line but those of a truncated table loses
// content; with MaxWidth 0 nothing is truncated.
package table
