package catalog

import "testing"

// TestAnyPinPastTheEpochKeepsWhatNoMarkerNames: an object of epoch 26 was replaced at 42, and its marker is missing. A
// reader pinned at 39 shows it, whatever older pins there are.
func TestAnyPinPastTheEpochKeepsWhatNoMarkerNames(t *testing.T) {
	const object = "data/table=t/y=2026/abc-e26-topic-0-0-10-0123456789abcdef.parquet"
	for _, c := range []struct {
		name           string
		oldest, newest int64
		may            bool
	}{
		{"no pin", 0, 0, true},
		{"one pin after the epoch", 39, 39, false},
		{"an old pin, and one after the epoch", 8, 39, false},
		{"pins before the epoch only", 8, 20, true},
	} {
		g := &Collection{Revision: 43, Incarnation: "abc", OldestPin: c.oldest, NewestPin: c.newest}
		if ok, reason := g.MayDelete(object, nil, 0, 0); ok != c.may {
			t.Errorf("%s: may delete: %t (%s)", c.name, ok, reason)
		}
	}
	g := &Collection{Revision: 43, Incarnation: "abc", OldestPin: 8, NewestPin: 39}
	if ok, _ := g.MayDelete(object, &Retired{Revision: 7}, 0, 0); !ok {
		t.Error("what was replaced before the oldest pin is shown by none")
	}
	if ok, _ := g.MayDelete(object, &Retired{Revision: 42}, 0, 0); ok {
		t.Error("what was replaced after the oldest pin may be shown by it")
	}
}
