package coordinator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"drumlin/catalog"
)

// TestShareAble reads testdata/share: who should read what where some cannot. Partitions are written topic/number, after the
// supervisor's name where that is another one, and "=node" names an owner.
func TestShareAble(t *testing.T) {
	datadriven.RunTest(t, "testdata/share", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd != "share" {
			d.Fatalf(t, "unknown command %s", d.Cmd)
		}
		var nodes []string
		unable := map[string][]string{}
		for _, arg := range d.CmdArgs {
			if arg.Key == "nodes" {
				nodes = arg.Vals
				continue
			}
			unable[strings.TrimPrefix(arg.Key, "unable-")] = arg.Vals
		}
		var wanted []catalog.PartitionKey
		owners := map[catalog.PartitionKey]string{}
		for word := range strings.FieldsSeq(d.Input) {
			name, owner, owned := strings.Cut(word, "=")
			var k catalog.PartitionKey
			if _, err := fmt.Sscanf(strings.ReplaceAll(name, "/", " "), "%s %d", &k.Supervisor, &k.Partition); err != nil {
				d.Fatalf(t, "partition %q: %v", word, err)
			}
			k.Topic = k.Supervisor
			wanted = append(wanted, k)
			if owned {
				owners[k] = owner
			}
		}
		got := shareAble(nodes, unable, wanted, owners)
		slices.Reverse(nodes)
		slices.Reverse(wanted)
		if again := shareAble(nodes, unable, wanted, owners); !maps.Equal(got, again) {
			t.Errorf("%s: the order of the arguments matters", d.Pos)
		}
		if again := shareAble(nodes, unable, wanted, got); !maps.Equal(got, again) {
			t.Errorf("%s: it does not come to rest", d.Pos)
		}
		var out strings.Builder
		moves := 0
		slices.Sort(nodes)
		for _, node := range nodes {
			fmt.Fprintf(&out, "%s:", node)
			for _, k := range sortedKeys(got) {
				if got[k] != node {
					continue
				}
				fmt.Fprintf(&out, " %s/%d", k.Supervisor, k.Partition)
				if owners[k] != "" && owners[k] != node {
					moves++
				}
			}
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "moves: %d\n", moves)
		return out.String()
	})
}

// TestUnableNow reads testdata/unable: what a process says that it cannot read. Its lease lives for 10 s, and times are
// seconds before now.
func TestUnableNow(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	ago := func(d *datadriven.TestData, value string) time.Time {
		var seconds float64
		if _, err := fmt.Sscan(value, &seconds); err != nil {
			d.Fatalf(t, "seconds %q: %v", value, err)
		}
		return now.Add(-time.Duration(seconds * float64(time.Second)))
	}
	datadriven.RunTest(t, "testdata/unable", func(t *testing.T, d *datadriven.TestData) string {
		before, contacts := map[string]catalog.Unable{}, map[string]contact{}
		for line := range strings.Lines(d.Input) {
			words := strings.Fields(line)
			c := contact{reason: "no answer"}
			for _, word := range words[1:] {
				name, value, _ := strings.Cut(word, "=")
				switch name {
				case "silent":
					c.silentSince = ago(d, value)
				case "whole":
					c.wholeSince = ago(d, value)
				case "fresh":
					c.fresh = true
				case "unable":
					before[words[0]] = catalog.Unable{SinceMillis: ago(d, value).UnixMilli(), Reason: "as before"}
				case "gone":
					continue
				default:
					d.Fatalf(t, "unknown word %q", word)
				}
			}
			if !slices.Contains(words, "gone") {
				contacts[words[0]] = c
			}
		}
		got := unableNow(now, 10*time.Second, before, contacts)
		if again := unableNow(now, 10*time.Second, got, contacts); !maps.Equal(got, again) {
			t.Errorf("%s: it does not come to rest: %v, then %v", d.Pos, got, again)
		}
		var out strings.Builder
		for _, id := range slices.Sorted(maps.Keys(got)) {
			fmt.Fprintf(&out, "%s: for %g s, %s\n", id, now.Sub(time.UnixMilli(got[id].SinceMillis)).Seconds(), got[id].Reason)
		}
		if out.Len() == 0 {
			return "able\n"
		}
		return out.String()
	})
}
