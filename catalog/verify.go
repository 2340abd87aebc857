package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Verify re-adds law 1 over a view, and returns everything that is wrong, joined:
//   - every live commit accounts for its offsets, and every manifest for the records of the commits that it absorbed;
//   - live commits together with the ranges that manifests list cover each generation of each partition from its start to
//     its end without a gap, and no two live commits overlap;
//   - what partitions have stored is what buckets have absorbed and what their live commits hold, over all of a datasource.
func Verify(v *View) error {
	t := tiling{live: map[tileKey]map[string]tile{}, absorbed: map[tileKey][]tile{}}
	var problems []error
	for _, d := range v.Datasources {
		for _, b := range d.Buckets {
			problems = append(problems, verifyBucket(b)...)
			t.addBucket(b)
		}
		if err := verifyStored(v, d); err != nil {
			problems = append(problems, err)
		}
	}
	for _, sup := range v.Supervisors {
		for _, p := range sup.Partitions {
			if p.OffsetRevision != 0 {
				problems = append(problems, t.check(p)...)
			}
		}
	}
	return errors.Join(problems...)
}

func verifyBucket(b *BucketView) []error {
	var problems []error
	for _, ref := range b.Commits {
		if err := checkCommit(ref.Commit); err != nil {
			problems = append(problems, err)
		}
	}
	if b.absorbed != nil {
		if err := checkManifest(b.absorbed); err != nil {
			problems = append(problems, fmt.Errorf("manifest %s: %w", b.Head.Manifest, err))
		}
	}
	return problems
}

// verifyStored holds the partitions' counters against the buckets' totals.
func verifyStored(v *View, d *DatasourceView) error {
	var stored, there int64
	for _, sup := range v.Supervisors {
		if sup.Datasource != d.Name {
			continue
		}
		for _, p := range sup.Partitions {
			stored += p.Offset.Counters.Stored
			for _, g := range p.Offset.Closed {
				stored += g.Stored
			}
		}
	}
	for _, b := range d.Buckets {
		found := base{}
		found.add(b)
		there += found.totals.AbsorbedRows
	}
	if stored != there {
		return corruptf("datasource %s: its partitions stored %d records, its buckets account for %d", d.Name, stored, there)
	}
	return nil
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

func (t *tiling) addBucket(b *BucketView) {
	for _, ref := range b.Commits {
		r := ref.Commit.Range
		k := tileKey{PartitionKey{ref.Commit.Supervisor, r.Topic, r.Partition}, r.Generation}
		if t.live[k] == nil {
			t.live[k] = map[string]tile{}
		}
		t.live[k][ref.Key] = tile{r.From, r.To}
	}
	if b.absorbed == nil {
		return
	}
	for _, r := range b.absorbed.Absorbed {
		k := tileKey{PartitionKey{r.Supervisor, r.Topic, r.Partition}, r.Generation}
		t.absorbed[k] = append(t.absorbed[k], tile{r.From, r.To})
	}
}

// check holds the generations of one partition against its offset. The first offset of the current one is Next less what
// the counters of its commits account for.
func (t *tiling) check(p *PartitionView) []error {
	o := p.Offset
	problems := []error{t.generation(p.Key, o.Generation, tile{o.Next - o.Counters.Sum(), o.Next})}
	for _, g := range o.Closed {
		problems = append(problems, t.generation(p.Key, g.Generation, tile{g.Start, g.End}))
	}
	return problems
}

// generation holds the commits of one generation against the offsets that they must cover; nil where they do.
func (t *tiling) generation(key PartitionKey, generation int32, whole tile) error {
	k := tileKey{key, generation}
	where := fmt.Sprintf("%s of %s, generation %d", key.path(), key.Supervisor, generation)
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
	at := whole.from
	for _, r := range all {
		if r.from > at {
			return corruptf("%s: no commit covers [%d, %d)", where, at, r.from)
		}
		if r.from < whole.from || r.to > whole.to {
			return corruptf("%s: [%d, %d) is not part of [%d, %d), which its counters account for", where, r.from, r.to,
				whole.from, whole.to)
		}
		at = max(at, r.to)
	}
	if at != whole.to {
		return corruptf("%s: no commit covers [%d, %d)", where, at, whole.to)
	}
	return nil
}

func compareTiles(a, b tile) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) }
