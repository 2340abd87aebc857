package model

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Short runs take few seeds; DRUMLIN_TEST_LONG takes many.
const (
	shortSeeds      = 2_000 // of the swarm, all guards on
	shortProfile    = 150   // of each profile, all guards on
	longSeeds       = 20_000
	longProfile     = 3_000
	longGuardSeeds  = 3_000
	failureLogLines = 80
)

func long() bool { return os.Getenv("DRUMLIN_TEST_LONG") != "" }

type profile struct {
	name  string
	tweak func(*config)
}

func profiles() []profile {
	return []profile{
		{"swarm", nil},
		{"races", races},
		{"coarse", coarse},
		{"wide", wide},
		{"plans", plans},
		{"floorsRise", floorsRise},
		{"lateBegin", lateBegin},
		{"idle", idle},
		{"clocks", clocks},
		{"seam", seam},
		{"losses", losses},
		{"orphans", orphans},
		{"resets", resets},
	}
}

func profileNamed(t *testing.T, name string) profile {
	t.Helper()
	i := slices.IndexFunc(profiles(), func(p profile) bool { return p.name == name })
	if i < 0 {
		t.Fatalf("no profile is called %q", name)
	}
	return profiles()[i]
}

// report runs the seed again with a log, and fails with the end of it.
func report(t *testing.T, seed uint64, p profile) {
	t.Helper()
	s := run(seed, "", p.tweak, true)
	log := s.log[max(0, len(s.log)-failureLogLines):]
	t.Errorf("profile %s, seed %d: %s\nconfiguration %+v\nthe last steps:\n%s", p.name, seed, s.failure, s.cfg,
		strings.Join(log, "\n"))
}

// TestAllGuards: with every guard on, no seed fails, and the runs are not idle.
func TestAllGuards(t *testing.T) {
	var total stats
	for _, p := range profiles() {
		seeds := shortProfile
		switch {
		case long() && p.name == "swarm":
			seeds = longSeeds
		case long():
			seeds = longProfile
		case p.name == "swarm":
			seeds = shortSeeds
		}
		for seed := uint64(1); seed <= uint64(seeds); seed++ {
			s := run(seed, "", p.tweak, false)
			total.add(&s.stats)
			if s.failure != "" {
				report(t, seed, p)
				break
			}
		}
	}
	t.Logf("%+v", total)
	for name, n := range map[string]int{
		"answers": total.answers, "commits": total.commits, "hot replies": total.hot, "lost replies": total.lost,
		"refused hot replies": total.refused, "fenced transactions": total.fenced, "replanned queries": total.replanned,
		"rebased merges": total.rebased, "coarse swaps": total.coarse, "deletion vectors": total.vectors,
		"sidecars that went": total.expired, "collected objects": total.collected, "rebuilds": total.rebuilds,
		"adoptions": total.swaps[adoptTail], "folds": total.swaps[foldAll], "drops": total.swaps[drop],
	} {
		if n < 10 {
			t.Errorf("only %d %s: the runs are too idle to prove anything", n, name)
		}
	}
}

// caught says where the absence of a guard is noticed: by some seed of [from, from+within) of a profile.
type caught struct {
	guard   Guard
	profile string
	from    uint64
	within  uint64
}

// TestEachGuardIsNeeded: with one guard off, some seed fails. Where a change of the model moves the seeds of a rare failure,
// the long profile finds others.
func TestEachGuardIsNeeded(t *testing.T) {
	table := needed()
	seen := map[Guard]bool{}
	for _, c := range table {
		if seen[c.guard] {
			t.Errorf("guard %q stands twice in the table", c.guard)
		}
		seen[c.guard] = true
		t.Run(strings.ReplaceAll(string(c.guard), " ", "_"), func(t *testing.T) { catch(t, c) })
	}
	for _, g := range allGuards() {
		if !seen[g] {
			t.Errorf("guard %q is never switched off", g)
		}
	}
}

func catch(t *testing.T, c caught) {
	p := profileNamed(t, c.profile)
	if long() {
		c.from, c.within = 1, longGuardSeeds
	}
	failed, first, why := 0, uint64(0), ""
	tried := uint64(0)
	for seed := c.from; seed < c.from+c.within && (failed == 0 || long()); seed++ {
		tried++
		if s := run(seed, c.guard, p.tweak, false); s.failure != "" {
			if failed++; first == 0 {
				first, why = seed, s.failure
			}
		}
	}
	if failed == 0 {
		t.Errorf("profile %s: no seed of [%d, %d) fails without the guard", p.name, c.from, c.from+c.within)
		return
	}
	t.Logf("profile %s: %d of %d seeds; seed %d: %s", p.name, failed, tried, first, why)
}

// TestSameSeedSameRun: a seed that is printed can be run again.
func TestSameSeedSameRun(t *testing.T) {
	for _, p := range profiles() {
		a, b := run(7, "", p.tweak, true), run(7, "", p.tweak, true)
		if len(a.log) == 0 || !slices.Equal(a.log, b.log) {
			t.Errorf("profile %s: two runs of seed 7 differ", p.name)
		}
	}
}
