package compaction

import (
	"strings"
	"testing"

	"drumlin/segment"
)

// TestInnerColumnsAreNobodyElses: what stands beside a user's columns while rows are sorted has a name that neither a user's
// column nor one of ours can have; a job that cuts ranges of a dimension of such a name would fail for ever.
func TestInnerColumnsAreNobodyElses(t *testing.T) {
	ours := segment.FileArrowSchema(execSchemas(t, true, false)[2]).Fields()
	for _, name := range []string{partColumn, bytesColumn} {
		if !strings.HasPrefix(name, "__") {
			t.Errorf("a user may name a column %s", name)
		}
		for i := range ours {
			if ours[i].Name == name || name == segment.EventsColumn {
				t.Errorf("segments have a column %s", name)
			}
		}
	}
}
