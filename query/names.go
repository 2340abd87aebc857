package query

import (
	"sort"
	"strings"

	"drumlin/internal/nearest"
)

const maxNearNames = 3

// foldName makes names equal that DuckDB takes for one: only the letters of ASCII lose their case.
func foldName(name string) string {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			folded := []byte(name)
			for ; i < len(folded); i++ {
				if c := folded[i]; 'A' <= c && c <= 'Z' {
					folded[i] = c + 'a' - 'A'
				}
			}
			return string(folded)
		}
	}
	return name
}

// nearestNames returns up to three of the names that differ least from the given one, and little enough to be meant.
func nearestNames(name string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	limit := max(1, len(name)/3)
	lower := strings.ToLower(name)
	var found []candidate
	for _, n := range names {
		if d := nearest.Edits(lower, strings.ToLower(n), limit+1); d <= limit {
			found = append(found, candidate{n, d})
		}
	}
	sort.Slice(found, func(i, j int) bool {
		if found[i].distance != found[j].distance {
			return found[i].distance < found[j].distance
		}
		return found[i].name < found[j].name
	})
	out := make([]string, 0, maxNearNames)
	for _, c := range found[:min(len(found), maxNearNames)] {
		out = append(out, c.name)
	}
	return out
}

// didYouMean renders near names as a hint.
func didYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(names, " or ") + "?"
}
