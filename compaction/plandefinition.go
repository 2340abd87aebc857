package compaction

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

// target is the plan that a chunk gets.
type target struct {
	definition *rollup.Definition // nil: rows as ingested
	number     int64
	planSpec   json.RawMessage // nil where number is 0
	changed    bool            // of at least one of the chunk's pieces
	sortBy     []string        // the order of rows in force
}

func (t *target) state() catalog.HeadState {
	if t.definition != nil && t.definition.Rollup {
		return catalog.HeadFolded
	}
	return catalog.HeadRaw
}

// target narrows the plans of the chunk's pieces as the request asks. Pieces with different plans meet first.
func (r *request) target(ds *catalog.DatasourceView, c *chunk) (*target, spec.Problems) {
	where := "the plan of " + c.interval.String()
	current, err := r.planOf(ds, c)
	if err != nil {
		return nil, problemsOf(where, err)
	}
	if r.changes {
		if current, err = current.Narrow(r.change, ds.Schema); err != nil {
			return nil, problemsOf("", err)
		}
	}
	if problems := r.checkJoin(ds, c, current); len(problems) > 0 {
		return nil, problems
	}
	if current.Identity() {
		current = nil
	}
	t := &target{definition: current, sortBy: ds.Schema.SortBy}
	if current != nil && len(current.SortBy) > 0 {
		t.sortBy = current.SortBy
	}
	if err := r.number(ds, c, t); err != nil {
		return nil, problemsOf(where, err)
	}
	return t, r.checkTarget(ds, c, t)
}

// read parses a stored plan, each once. Plans are compared in the one form that Canonical writes.
func (r *request) read(stored []byte) (plan, error) {
	if len(stored) == 0 {
		return plan{}, nil
	}
	if p, ok := r.plans[string(stored)]; ok {
		return p, nil
	}
	d, err := rollup.ParseDefinition(stored)
	if err != nil {
		return plan{}, err
	}
	p := plan{definition: d}
	if p.canonical, err = d.Canonical(); err != nil {
		return plan{}, err
	}
	r.plans[string(stored)] = p
	return p, nil
}

// planOf is the plan that the chunk has before any change: nil for rows as ingested.
func (r *request) planOf(ds *catalog.DatasourceView, c *chunk) (*rollup.Definition, error) {
	var plans []plan
	for _, piece := range c.pieces {
		p, err := r.read(piece.PlanSpec)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(plans, func(o plan) bool { return bytes.Equal(o.canonical, p.canonical) }) {
			plans = append(plans, p)
		}
	}
	if len(plans) == 1 {
		return plans[0].definition, nil
	}
	definitions := make([]*rollup.Definition, len(plans))
	for i := range plans {
		definitions[i] = plans[i].definition
	}
	return rollup.Meet(ds.Schema, definitions...)
}

// checkJoin: that chunks are joined must not change what queries see of any of them beyond what the request asks. So each chunk's
// own plan, narrowed as the request says, must be the common one; the datasource's too, where empty buckets join. How rows are
// sorted does not count.
func (r *request) checkJoin(ds *catalog.DatasourceView, c *chunk, joint *rollup.Definition) spec.Problems {
	if len(c.pieces) < 2 && len(c.pieces[0].Members) == len(c.buckets) {
		return nil
	}
	want, err := unsorted(joint)
	if err != nil {
		return problemsOf("", err)
	}
	type part struct {
		where string
		plan  []byte
	}
	parts := []part{{"its empty parts", ds.Plan}}
	members := 0
	for _, piece := range c.pieces {
		members += len(piece.Members)
		parts = append(parts, part{intervalOf(piece.Bucket).String(), piece.PlanSpec})
	}
	if members == len(c.buckets) {
		parts = parts[1:]
	}
	for _, p := range parts {
		stored, err := r.read(p.plan)
		if err != nil {
			return problemsOf(p.where, err)
		}
		alone := stored.definition
		if r.changes {
			if alone, err = alone.Narrow(r.change, ds.Schema); err != nil {
				return problemsOf("", err)
			}
		}
		have, err := unsorted(alone)
		if err != nil {
			return problemsOf("", err)
		}
		if !bytes.Equal(have, want) {
			return spec.Problems{{Path: granularityPath, Message: fmt.Sprintf(
				"%s cannot join into %s as things are: parts of it have narrower plans, and what queries see would change beyond what "+
					"the task asks; ask for the common plan too: %s", p.where, c.interval.String(), want)}}
		}
	}
	return nil
}

// unsorted is a plan's canonical form but for the order of rows.
func unsorted(d *rollup.Definition) ([]byte, error) {
	plain := rollup.Definition{}
	if d != nil {
		plain = *d
	}
	plain.SortBy = nil
	return plain.Canonical()
}

// number gives the plan its number: that of the pieces where it is theirs, else one more than any of them has. Equal numbers
// of one chunk always mean equal plans.
func (r *request) number(ds *catalog.DatasourceView, c *chunk, t *target) error {
	var canonical []byte
	if t.definition != nil {
		var err error
		if canonical, err = t.definition.Canonical(); err != nil {
			return err
		}
	}
	for _, piece := range c.pieces {
		if piece.Head != nil {
			t.number = max(t.number, piece.Head.Plan)
		}
	}
	own, err := r.read(ds.Plan)
	if err != nil {
		return err
	}
	fits := t.number > 0 || bytes.Equal(own.canonical, canonical)
	for _, piece := range c.pieces {
		p, err := r.read(piece.PlanSpec)
		if err != nil {
			return err
		}
		if bytes.Equal(p.canonical, canonical) {
			continue
		}
		t.changed = true
		if piece.Head != nil && piece.Head.Plan == t.number {
			fits = false
		}
	}
	if !fits {
		t.number++
	}
	if t.number > 0 && canonical == nil {
		return fmt.Errorf("plan %d would be rows as ingested, which only plan 0 can be", t.number)
	}
	if t.number > 0 {
		t.planSpec = canonical
	}
	return nil
}

// checkTarget refuses what the plan and the cutting of the chunk cannot be together.
func (r *request) checkTarget(ds *catalog.DatasourceView, c *chunk, t *target) spec.Problems {
	var problems spec.Problems
	if t.changed && c.partly && !r.allowUnaligned {
		problems = append(problems, spec.Problem{Path: "interval", Message: fmt.Sprintf(
			"the chunk %s lies only partly in it, and a chunk changes its plan as a whole: ask for whole chunks, or set "+
				"ioConfig.allowNonAlignedInterval, so that they are taken whole", c.interval.String())})
	}
	if t.definition != nil && !t.definition.QueryGranularity.IsZero() {
		g := t.definition.QueryGranularity
		start, _ := g.Chunk(c.interval.StartMillis)
		switch {
		case start != c.interval.StartMillis || !endsChunk(g, c.interval.EndMillis):
			problems = append(problems, spec.Problem{Path: "granularitySpec.queryGranularity", Message: fmt.Sprintf(
				"%s is coarser than the chunk %s: it must be as fine as the segmentGranularity, or finer", g, c.interval.String())})
		case !c.cut.IsZero() && !g.Divides(c.cut):
			problems = append(problems, spec.Problem{Path: granularityPath, Message: fmt.Sprintf(
				"%s does not hold whole chunks of queryGranularity %s", c.cut, g)})
		}
	}
	for i, name := range r.partition {
		if !keeps(t.definition, ds.Schema, name) {
			problems = append(problems, spec.Problem{
				Path:    fmt.Sprintf("tuningConfig.partitionsSpec.partitionDimensions[%d]", i),
				Message: fmt.Sprintf("%q is not among the dimensions of the chunk %s", name, c.interval.String()),
			})
		}
	}
	return problems
}

// keeps says whether rows seen through the definition have the dimension.
func keeps(d *rollup.Definition, s *segment.Schema, name string) bool {
	if d != nil && d.Dimensions != nil {
		return slices.Contains(d.Dimensions, name)
	}
	return slices.Contains(s.Dimensions, name)
}
