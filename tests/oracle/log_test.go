package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestWalkAgreesWithTheLedger goes through random logs by random steps and counts anew at each.
func TestWalkAgreesWithTheLedger(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 50 {
		ledger, log := NewLedger(), NewLog(rules, "v", "w")
		for offset := range int64(1 + random.IntN(40)) {
			for _, topic := range []string{"a", "b"} {
				for partition := range int32(2) {
					r := Record{Topic: topic, Partition: partition, Offset: offset, Timestamp: time.UnixMilli(7_200_000)}
					r.Value = fmt.Appendf(nil, `{"t":%d,"k":"%d","v":"e%d","w":%d}`, random.IntN(2)*3_600_000, random.IntN(30), random.IntN(3), random.IntN(9))
					if random.IntN(10) == 0 {
						r.Value = []byte(`{"t":1,"v":"no key","w":1}`)
					}
					if random.IntN(10) == 0 {
						r.Value = []byte("{")
					}
					if err := log.Add(r); err != nil {
						t.Fatal(err)
					}
					if err := ledger.Add(r); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		compareWalk(t, random, ledger, log)
	}
}

func compareWalk(t *testing.T, random *rand.Rand, ledger *Ledger, log *Log) {
	t.Helper()
	byV := func(e Event) string { return e.Text("v") }
	groups := GroupBy(byV, func(e Event) int64 { return e.Int("w") })
	count := GroupCount{GroupBy(byV)}
	walk, cut := log.Walk(groups, count), Cut{"a": {}, "b": {}}
	for {
		done := true
		for topic, partitions := range log.Ends() {
			for partition, end := range partitions {
				cut[topic][partition] = min(end, cut[topic][partition]+random.Int64N(6))
				done = done && cut[topic][partition] == end
			}
		}
		if err := walk.Advance(cut); err != nil {
			t.Fatal(err)
		}
		want, err := ledger.At(cut, rules)
		if err != nil {
			t.Fatal(err)
		}
		again := map[string]*[2]int64{}
		for _, row := range want.Rows {
			v := Text(row.Fields["v"])
			if again[v] == nil {
				again[v] = &[2]int64{}
			}
			again[v][0]++
			again[v][1] += (&Result{Rows: []Row{row}}).Sum("w")
		}
		var lines []string
		for v, sums := range again {
			lines = append(lines, fmt.Sprintf("%s|%d|%d", v, sums[0], sums[1]))
		}
		slices.Sort(lines)
		if !slices.Equal(lines, groups.Lines()) || count.Lines()[0] != fmt.Sprint(len(lines)) {
			t.Fatalf("at %v: %v and %v, want %v", cut, groups.Lines(), count.Lines(), lines)
		}
		if walk.Duplicates != want.Duplicates || walk.Rejected != int64(len(want.Rejected)) {
			t.Fatalf("at %v: %d duplicates, %d rejected, want %d and %d", cut, walk.Duplicates, walk.Rejected, want.Duplicates, len(want.Rejected))
		}
		if done {
			return
		}
	}
}

func TestWalkRefusesWhatItCannotKnow(t *testing.T) {
	log := NewLog(rules, "v")
	if err := log.Add(Record{Topic: "a", Offset: 3, Value: []byte(`{"t":1,"v":"x"}`), Timestamp: time.UnixMilli(1)}); err != nil {
		t.Fatal(err)
	}
	log.Known("a", 0, 6) // offsets 4 and 5 hold no record
	tally := GroupBy(func(e Event) string { return e.Text("v") })
	walk := log.Walk(tally)
	if err := walk.Advance(Cut{"a": {0: 6}}); err != nil {
		t.Fatal(err)
	}
	if lines := tally.Lines(); len(lines) != 1 || lines[0] != "x|1" {
		t.Fatalf("got %v", lines)
	}
	for name, cut := range map[string]Cut{
		"back": {"a": {0: 5}}, "beyond the end": {"a": {0: 7}}, "a partition less": {}, "an unknown partition": {"a": {0: 6, 1: 1}},
	} {
		if err := walk.Advance(cut); err == nil {
			t.Errorf("%s: the cut %v was taken", name, cut)
		}
	}
	if err := log.Add(Record{Topic: "a", Offset: 5, Value: []byte(`{"t":1}`)}); err == nil {
		t.Error("a record was taken below the known end")
	}
}
