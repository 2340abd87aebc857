package query

import (
	"strings"
	"testing"

	"drumlin/segment"
)

const t0 = int64(1_700_000_000_000 / hour * hour)

func TestHotAndColdRowsCountOnce(t *testing.T) {
	w := newWorld(t)
	tab := w.table("events", true, 2, column("page", segment.TypeString), column("n", segment.TypeLong))
	for i := range 20 {
		tab.partitions[i%2].add(worldRow{millis: t0 + int64(i)*60_000*10, key: strings.Repeat("k", i%7+1), values: []any{"p", int64(i)}})
	}
	e := w.engine()
	want := mustAsk(t, e, "SELECT COUNT(*), SUM(n) FROM events")
	w.commit(tab, tab.partitions[0], 5)
	w.commit(tab, tab.partitions[1], 8)
	if got := mustAsk(t, e, "SELECT COUNT(*), SUM(n) FROM druid.events"); got[0] != want[0] {
		t.Errorf("mixed: got %v, hot rows alone gave %v", got, want)
	}
	w.commit(tab, tab.partitions[0], 10)
	w.commit(tab, tab.partitions[1], 10)
	lines, a, err := ask(e, Request{SQL: "SELECT COUNT(*), SUM(n) FROM \"events\""})
	if err != nil || lines[0] != want[0] {
		t.Errorf("cold: got %v, %v; hot rows alone gave %v", lines, err, want)
	}
	t.Log(want, a.Cut, a.Stats)
	for _, l := range mustAsk(t, e, "SELECT * FROM sys.segments") {
		t.Log(l)
	}
}
