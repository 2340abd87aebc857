package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Verify re-adds law 1 and the tiling over a view: every commit accounts for its offsets, and live commits together
// with the ranges that manifests list cover each partition's current generation from its start to its offset without a
// gap, and without two commits that overlap. It returns everything that is wrong, joined.
func Verify(v *View) error {
	t := tiling{live: map[tileKey]map[string]tile{}, absorbed: map[tileKey][]tile{}}
	var problems []error
	for _, d := range v.Datasources {
		for _, b := range d.Buckets {
			for _, ref := range b.Commits {
				if err := checkCommit(ref.Commit); err != nil {
					problems = append(problems, err)
				}
				t.addLive(ref)
			}
			if b.absorbed == nil {
				continue
			}
			for _, r := range b.absorbed.Absorbed {
				k := tileKey{PartitionKey{r.Supervisor, r.Topic, r.Partition}, r.Generation}
				t.absorbed[k] = append(t.absorbed[k], tile{r.From, r.To})
			}
		}
	}
	for _, sup := range v.Supervisors {
		for _, p := range sup.Partitions {
			if p.OffsetRevision == 0 {
				continue
			}
			if err := t.check(p); err != nil {
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(problems...)
}

type tile struct{ from, to int64 }

type tileKey struct {
	PartitionKey
	generation int32
}

type tiling struct {
	live     map[tileKey]map[string]tile // by commit key
	absorbed map[tileKey][]tile
}

func (t *tiling) addLive(ref CommitRef) {
	r := ref.Commit.Range
	k := tileKey{PartitionKey{ref.Commit.Supervisor, r.Topic, r.Partition}, r.Generation}
	if t.live[k] == nil {
		t.live[k] = map[string]tile{}
	}
	t.live[k][ref.Key] = tile{r.From, r.To}
}

// check holds one partition's current generation against its offset. Its first offset is Next less what the counters
// of its commits account for.
func (t *tiling) check(p *PartitionView) error {
	k := tileKey{p.Key, p.Offset.Generation}
	where := fmt.Sprintf("%s of %s, generation %d", p.Key.path(), p.Key.Supervisor, p.Offset.Generation)
	var live []tile
	for _, r := range t.live[k] {
		live = append(live, r)
	}
	slices.SortFunc(live, compareTiles)
	for i := 1; i < len(live); i++ {
		if live[i].from < live[i-1].to {
			return corruptf("%s: commits [%d, %d) and [%d, %d) overlap", where, live[i-1].from, live[i-1].to, live[i].from,
				live[i].to)
		}
	}
	all := append(live, t.absorbed[k]...)
	slices.SortFunc(all, compareTiles)
	start := p.Offset.Next - p.Offset.Counters.Sum()
	at := start
	for _, r := range all {
		if r.from > at {
			return corruptf("%s: no commit covers [%d, %d)", where, at, r.from)
		}
		if r.from < start || r.to > p.Offset.Next {
			return corruptf("%s: [%d, %d) is not part of [%d, %d), which its counters account for", where, r.from, r.to, start,
				p.Offset.Next)
		}
		at = max(at, r.to)
	}
	if at != p.Offset.Next {
		return corruptf("%s: no commit covers [%d, %d)", where, at, p.Offset.Next)
	}
	return nil
}

func compareTiles(a, b tile) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) }
