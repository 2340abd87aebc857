// Package nearest finds, among known names, the one that was probably meant. It knows nothing of what the names are of, and
// never decides anything: what it finds is for a hint.
package nearest

import "strings"

// Name returns the name with the fewest edits to what was written, in any case, or "" where none is near: a third of the
// letters may differ, and two always.
func Name(written string, names []string) string {
	return Within(written, names, max(2, len(written)/3))
}

// Within is Name with another limit: more edits than that are not near.
func Within(written string, names []string, edits int) string {
	best, limit, lower := "", edits+1, strings.ToLower(written)
	for _, name := range names {
		if n := Edits(lower, strings.ToLower(name), limit); n < limit {
			best, limit = name, n
		}
	}
	return best
}

// Question ends a message with the name that was probably meant, where there is one.
func Question(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}

// Edits counts insertions, deletions, replacements and swaps of neighbours (each pair swapped once) of bytes, and gives up
// with limit where there are at least as many.
func Edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
