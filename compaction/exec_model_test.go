package compaction

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"drumlin/rollup"
	"drumlin/segment"
)

// execRollup is the plan of a rollup datasource.
func execRollup(t testing.TB, rng *rand.Rand, dimensions ...string) *rollup.Definition {
	t.Helper()
	d := &rollup.Definition{Rollup: true, Dimensions: dimensions, Metrics: execMetricList(t), QueryGranularity: execGranularity(t, "thirty_minute")}
	d.SortBy = [][]string{{segment.TimeColumn}, dimensions, append([]string{dimensions[len(dimensions)-1]}, segment.TimeColumn)}[rng.IntN(3)]
	return d
}

// execModel is the oracle of a rollup datasource: it does naively, record by record, what the laws say.
type execModel struct {
	plan     *rollup.Definition
	known    map[[2]int64]bool
	groups   map[string]*execGroup
	filter   func(r *execRow) bool
	filtered int64
	copies   int64
}

type execGroup struct {
	millis      int64
	event, user *string
	events, n   int64
	numbers     int64 // rows with n
	most        int64
	x           float64
	xs          int64
}

func newExecModel(plan *rollup.Definition) *execModel {
	return &execModel{
		plan: plan, known: map[[2]int64]bool{}, groups: map[string]*execGroup{}, filter: func(*execRow) bool { return true },
	}
}

// fold adds rows that were handed off: known identities lose, of the others the lowest position stays.
func (m *execModel) fold(rows []execRow, dedup bool) {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b execRow) int { return comparePositions(a.Position, b.Position) })
	for _, r := range rows {
		id := [2]int64{r.hi, r.lo}
		if dedup && r.keyed {
			if m.known[id] {
				m.copies++
				continue
			}
			m.known[id] = true
		}
		if !m.filter(&r) {
			m.filtered++
			continue
		}
		m.group(&r)
	}
}

func (m *execModel) group(r *execRow) {
	start, _ := m.plan.QueryGranularity.Chunk(r.millis)
	g := &execGroup{millis: start, event: r.event}
	key := fmt.Sprint(start, show(r.event))
	if slices.Contains(m.plan.Dimensions, "user") {
		g.user = r.user
		key += show(r.user)
	}
	if m.groups[key] == nil {
		m.groups[key] = g
	}
	g = m.groups[key]
	g.events++
	if r.n != nil {
		g.most = max(*r.n, g.most)
		if g.numbers == 0 {
			g.most = *r.n
		}
		g.n += *r.n
		g.numbers++
	}
	if r.x != nil {
		g.x += *r.x
		g.xs++
	}
}

func show(s *string) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%q", *s)
}

// rows are the groups in the plan's order, as far as they are compared.
func (m *execModel) rows() []string {
	var groups []*execGroup
	for _, g := range m.groups {
		groups = append(groups, g)
	}
	order := slices.Concat(m.plan.SortBy, []string{segment.TimeColumn}, m.plan.Dimensions)
	slices.SortFunc(groups, func(a, b *execGroup) int {
		for _, name := range order {
			c := cmp.Compare(a.millis, b.millis)
			switch name {
			case "event":
				c = compareNullable(a.event, b.event)
			case "user":
				c = compareNullable(a.user, b.user)
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	var out []string
	for _, g := range groups {
		text := fmt.Sprintf("__events=%d count=%d", g.events, g.events)
		if g.event != nil {
			text += " event=" + *g.event
		}
		if g.user != nil {
			text += " user=" + *g.user
		}
		if g.numbers > 0 {
			text += fmt.Sprintf(" n=%d most=%d", g.n, g.most)
		}
		if g.xs > 0 {
			text += fmt.Sprintf(" x=%v", g.x)
		}
		out = append(out, text)
	}
	return out
}

// foldedTexts are the segments' rows in the model's form.
func foldedTexts(rows []string) []string {
	var out []string
	for _, row := range rows {
		values := map[string]string{}
		for part := range strings.SplitSeq(strings.ReplaceAll(row, "=user ", "=user_"), " ") {
			name, value, _ := strings.Cut(part, "=")
			values[name] = strings.ReplaceAll(value, "user_", "user ")
		}
		var parts []string
		for _, name := range []string{"__events", "count", "event", "user", "n", "most", "x"} {
			if v, ok := values[name]; ok {
				parts = append(parts, name+"="+v)
			}
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

func (m *execModel) check(t *testing.T, name string, l *execLake) {
	t.Helper()
	var events int64
	for _, s := range l.settled {
		if !s.Folded || s.Events <= 0 {
			t.Errorf("%s: description %+v", name, s)
		}
		events += s.Events
	}
	var want int64
	for _, g := range m.groups {
		want += g.events
	}
	if events != want {
		t.Errorf("%s: segments of %d records, want %d", name, events, want)
	}
	if got, want := foldedTexts(slices.Concat(l.rows(l.settled)...)), m.rows(); !slices.Equal(got, want) {
		t.Errorf("%s: %d groups differ from the oracle's %d\n%s", name, len(got), len(want), firstDifference(got, want))
	}
	var ids [][2]int64
	for id := range m.known {
		ids = append(ids, id)
	}
	sortIDs(ids)
	if got := l.ids(); !slices.Equal(got, ids) {
		t.Errorf("%s: sidecars of %d identities, want %d", name, len(got), len(ids))
	}
}
