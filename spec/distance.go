package spec

import "strings"

// nearest returns the candidate with the fewest edits to name, in any case, or "" where none is near.
func nearest(name string, candidates []string) string {
	best, bestEdits := "", 1+max(2, len(name)/3)
	for _, c := range candidates {
		if edits := editDistance(strings.ToLower(name), strings.ToLower(c), bestEdits); edits < bestEdits {
			best, bestEdits = c, edits
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours (each pair swapped once), and gives
// up with limit where there are at least as many.
func editDistance(a, b string, limit int) int {
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
