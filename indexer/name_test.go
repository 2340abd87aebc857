package indexer

import (
	"strings"
	"testing"

	"drumlin/catalog"
	"drumlin/objectstore"
	"drumlin/segment"
)

func TestObjectNamesAreValidKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{
		"events", "..", "a/b", "a b", "é", strings.Repeat("x", 300), strings.Repeat("x", 301), "a-e5-b", "%", "%25", ".hidden",
	} {
		n := segment.ObjectName{
			Kind: segment.KindRejects, Datasource: name, Bucket: segment.Bucket{StartMillis: -1, EndMillis: 1}, Incarnation: "i", Epoch: 9,
			Source: segment.OffsetRange{Topic: name, From: 1, To: 1 << 62}, Random: "00ff",
		}
		key := n.Key()
		if err := objectstore.ValidateKey(key); err != nil {
			t.Error(err)
		}
		if incarnation, epoch, ok := catalog.ObjectEpoch(key); incarnation != "i" || epoch != 9 || !ok {
			t.Errorf("%s: incarnation %q, epoch %d, %v", key, incarnation, epoch, ok)
		}
		if table := strings.Split(key, "/")[1]; seen[table] {
			t.Errorf("two datasources share %s", table)
		} else {
			seen[table] = true
		}
	}
}
