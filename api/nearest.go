package api

// nearest returns the name closest to what was written, or "" where none is close enough to be what was meant.
func nearest(written string, names []string) string {
	best, bestDistance := "", len(written)/2+1
	for _, name := range names {
		if d := editDistance(written, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// maxCompared bounds the work that one outside word can cause; longer words have no neighbours.
const maxCompared = 64

// editDistance counts the insertions, deletions and replacements that turn a into b, ignoring ASCII case.
func editDistance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return maxCompared
	}
	prev, cur := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		cur[0] = i + 1
		for j := range len(b) {
			cost := 1
			if lower(a[i]) == lower(b[j]) {
				cost = 0
			}
			cur[j+1] = min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
		}
		prev, cur = cur, prev
	}
	return prev[len(b)]
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
