package coordinator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"drumlin/catalog"
)

func TestShareProperties(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		var nodes []string
		for i := range rnd.IntN(6) {
			nodes = append(nodes, fmt.Sprintf("n%d", i))
		}
		var wanted []catalog.PartitionKey
		owners := map[catalog.PartitionKey]string{}
		for i := range rnd.IntN(20) {
			k := catalog.PartitionKey{Supervisor: "s", Topic: fmt.Sprint("t", i%3), Partition: int32(i)}
			wanted = append(wanted, k)
			if rnd.IntN(3) > 0 {
				owners[k] = fmt.Sprintf("n%d", rnd.IntN(7)) // some are gone
			}
		}
		got := share(nodes, wanted, owners)
		if len(nodes) == 0 {
			if len(got) != 0 {
				t.Fatalf("seed %d: %v without nodes", seed, got)
			}
			continue
		}
		count := map[string]int{}
		for _, k := range wanted {
			if !slices.Contains(nodes, got[k]) {
				t.Fatalf("seed %d: %v is given to %q", seed, k, got[k])
			}
			count[got[k]]++
		}
		kept, most := 0, 0
		owned := map[string]int{}
		for k, n := range owners {
			if got[k] == n {
				kept++
			}
			owned[n]++
		}
		least, highest := len(wanted)/len(nodes), (len(wanted)+len(nodes)-1)/len(nodes)
		extra := len(wanted) % len(nodes)
		for _, n := range nodes {
			if count[n] < least || count[n] > highest {
				t.Fatalf("seed %d: %s gets %d of %d", seed, n, count[n], len(wanted))
			}
			most += min(owned[n], least)
			if owned[n] > least && extra > 0 {
				most++
				extra--
			}
		}
		if kept != most {
			t.Fatalf("seed %d: %d stay, %d could: %v %v", seed, kept, most, owners, got)
		}
		slices.Reverse(wanted)
		slices.Reverse(nodes)
		if again := share(nodes, wanted, owners); !maps.Equal(got, again) {
			t.Fatalf("seed %d: the order of the arguments matters", seed)
		}
		if again := share(nodes, wanted, got); !maps.Equal(got, again) {
			t.Fatalf("seed %d: it does not come to rest", seed)
		}
	}
}
