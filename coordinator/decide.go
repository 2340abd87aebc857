package coordinator

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"drumlin/catalog"
	"drumlin/segment"
	"drumlin/spec"
)

// decision is what a submission changes.
type decision struct {
	change    catalog.SupervisorChange
	unchanged bool // the spec is in force already
	warnings  []string
}

// newDatasource holds what cannot be derived from the spec when a datasource is created.
type newDatasource struct {
	hashKey   string // 32 random hex digits
	nowMillis int64  // for people only
}

// decide compares a valid spec with the catalog. It is a pure function; its problems are the user's to mend.
func decide(view *catalog.View, s *spec.Supervisor, fresh newDatasource) (*decision, spec.Problems) {
	old := view.Supervisors[s.ID]
	d := &decision{change: catalog.SupervisorChange{Supervisor: catalog.Supervisor{
		ID: s.ID, Datasource: s.DataSchema.DataSource, Version: 1, Suspended: s.Suspended, Spec: s.Canonical,
	}}}
	if problems := checkPlace(view, s, old); len(problems) > 0 {
		return nil, problems
	}
	var before *spec.Supervisor
	if old != nil {
		if string(old.Spec) == string(s.Canonical) {
			d.unchanged, d.change.Supervisor = true, old.Supervisor
			return d, nil
		}
		d.change.ExpectVersion, d.change.Supervisor.Version = old.Version, old.Version+1
		var err error
		if before, _, err = spec.Parse(old.Spec); err != nil {
			return nil, spec.Problems{{Path: "id", Message: fmt.Sprintf(
				"version %d in the catalog cannot be read by this program, so it cannot be replaced by it: %v", old.Version, err)}}
		}
	}
	definition, problems := define(s)
	if len(problems) > 0 {
		return nil, problems
	}
	d.warnings = definition.warnings
	ds := view.Datasources[s.DataSchema.DataSource]
	if ds == nil || ds.Schema == nil {
		if problems := createDatasource(d, s, definition, fresh); len(problems) > 0 {
			return nil, problems
		}
		return d, nil
	}
	problems = checkFixed(ds, before, s)
	problems = append(problems, checkDefinition(ds.Name, ds.Plan, ds.Schema, definition)...)
	next, more := nextSchema(ds.Schema, s, definition.transformed)
	if problems = append(problems, more...); len(problems) > 0 {
		return nil, problems
	}
	d.warnings = append(d.warnings, timeWarnings(before, s)...)
	d.change.Supervisor.SchemaID = next.ID
	if next.ID != ds.Schema.ID {
		d.change.NewSchema = next
	}
	return d, nil
}

// checkPlace checks that the supervisor and the datasource belong together, and to no other.
func checkPlace(view *catalog.View, s *spec.Supervisor, old *catalog.SupervisorView) spec.Problems {
	name := s.DataSchema.DataSource
	var problems spec.Problems
	if old != nil && old.Datasource != name {
		problems = append(problems, spec.Problem{Path: "spec.dataSchema.dataSource", Message: fmt.Sprintf(
			"supervisor %s fills datasource %s for ever: give another id", s.ID, old.Datasource)})
	}
	for _, id := range slices.Sorted(maps.Keys(view.Supervisors)) {
		if other := view.Supervisors[id]; id != s.ID && other.Datasource == name {
			problems = append(problems, spec.Problem{Path: "id", Message: fmt.Sprintf(
				"datasource %s is filled by supervisor %s already: give id: %s to replace its spec", name, id, id)})
		} else if id != s.ID && strings.EqualFold(id, s.ID) {
			problems = append(problems, spec.Problem{Path: "id", Message: fmt.Sprintf(
				"differs only in case from supervisor %s", id)})
		}
	}
	for _, other := range slices.Sorted(maps.Keys(view.Datasources)) {
		if other != name && strings.EqualFold(other, name) {
			problems = append(problems, spec.Problem{Path: "spec.dataSchema.dataSource", Message: fmt.Sprintf(
				"differs only in case from datasource %s, which SQL does not tell apart", other)})
		}
	}
	return problems
}

func createDatasource(d *decision, s *spec.Supervisor, definition *defined, fresh newDatasource) spec.Problems {
	schema := &segment.Schema{ID: 1, Dedup: s.DataSchema.Dedup != nil}
	fillSchema(schema, s, definition.transformed)
	id := segment.FirstUserColumnID + int32(len(schema.Columns))
	for _, c := range definition.inputs {
		c.ID = id
		schema.Columns, schema.Inputs = append(schema.Columns, c), append(schema.Inputs, c.Name)
		id++
	}
	for _, c := range definition.states {
		c.ID = id
		schema.States = append(schema.States, c)
		id++
	}
	plan, err := definition.planOf(schema)
	if err == nil {
		err = schema.Validate()
	}
	if err != nil {
		return problemsOf(err)
	}
	d.change.NewDatasource = &catalog.Datasource{
		Name: s.DataSchema.DataSource, SegmentGranularity: s.DataSchema.SegmentGranularity.String(),
		HashKey: fresh.hashKey, CreatedMillis: fresh.nowMillis, Plan: plan,
	}
	d.change.NewSchema, d.change.Supervisor.SchemaID = schema, schema.ID
	return nil
}

// checkFixed checks what was fixed when the datasource was created. before is nil where no earlier spec is known.
func checkFixed(ds *catalog.DatasourceView, before, s *spec.Supervisor) spec.Problems {
	var problems spec.Problems
	if got := s.DataSchema.SegmentGranularity.String(); got != ds.SegmentGranularity {
		problems = append(problems, spec.Problem{
			Path: "spec.dataSchema.granularitySpec.segmentGranularity",
			Message: fmt.Sprintf("is %s, but datasource %s was created with %s, and its time chunks never change",
				got, ds.Name, ds.SegmentGranularity),
		})
	}
	switch dedup := s.DataSchema.Dedup; {
	case dedup != nil && !ds.Schema.Dedup:
		problems = append(problems, spec.Problem{Path: "spec.dataSchema.dedupSpec", Message: fmt.Sprintf(
			"datasource %s was created without it, and its rows have no identity: use another datasource", ds.Name)})
	case dedup == nil && ds.Schema.Dedup:
		problems = append(problems, spec.Problem{Path: "spec.dataSchema.dedupSpec", Message: fmt.Sprintf(
			"is missing, but datasource %s was created with it: copies of rows that are stored already would count", ds.Name)})
	case dedup != nil && before != nil && before.DataSchema.Dedup != nil && before.DataSchema.Dedup.Key != dedup.Key:
		problems = append(problems, spec.Problem{Path: "spec.dataSchema.dedupSpec.key", Message: fmt.Sprintf(
			"is %s, but the rows of datasource %s are told apart by %s, for ever", dedup.Key, ds.Name,
			before.DataSchema.Dedup.Key)})
	}
	return problems
}

// nextSchema returns the newest schema itself where it fits the spec, or the one that follows it.
func nextSchema(newest *segment.Schema, s *spec.Supervisor, transformed []string) (*segment.Schema, spec.Problems) {
	published := map[string]segment.Column{}
	for _, c := range newest.Columns {
		published[strings.ToLower(c.Name)] = c
	}
	var problems spec.Problems
	for _, d := range s.DataSchema.Dimensions {
		c, ok := published[strings.ToLower(d.Name)]
		message := ""
		switch {
		case !ok:
			continue
		case c.Name != d.Name:
			message = fmt.Sprintf("the column %s differs only in case from %s, which the datasource has already", d.Name, c.Name)
		case c.Type != segment.ColumnType(d.Type):
			message = fmt.Sprintf("the type of column %s is %s for ever; it cannot become %s: give the new column another name",
				d.Name, c.Type, d.Type)
		default:
			continue
		}
		problems = append(problems, spec.Problem{Path: dimensionPath(d.Name), Message: message})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	next := &segment.Schema{
		ID: newest.ID + 1, Dedup: newest.Dedup, Columns: slices.Clone(newest.Columns), Inputs: newest.Inputs, States: newest.States,
	}
	fillSchema(next, s, transformed)
	if len(next.Columns) == len(newest.Columns) && slices.Equal(next.Dimensions, newest.Dimensions) &&
		slices.Equal(next.SortBy, newest.SortBy) && next.KeyColumn == newest.KeyColumn {
		return newest, nil
	}
	return next, nil
}

// dimensionPath is the path of a dimension in the spec's list, where __time may stand too.
func dimensionPath(name string) string {
	return fmt.Sprintf("spec.dataSchema.dimensionsSpec.dimensions (%s)", name)
}

// fillSchema adds the spec's columns that are new, each with the next free id, and takes over its order. transformed are the names
// of transforms: a column of such a name does not hold the dedup key as it was read.
func fillSchema(schema *segment.Schema, s *spec.Supervisor, transformed []string) {
	id := segment.FirstUserColumnID
	for _, list := range [][]segment.Column{schema.Columns, schema.States} {
		if n := len(list); n > 0 {
			id = max(id, list[n-1].ID+1)
		}
	}
	for _, d := range s.DataSchema.Dimensions {
		known := slices.ContainsFunc(schema.Columns, func(c segment.Column) bool { return c.Name == d.Name })
		if !known {
			schema.Columns = append(schema.Columns, segment.Column{ID: id, Name: d.Name, Type: segment.ColumnType(d.Type)})
			id++
		}
		schema.Dimensions = append(schema.Dimensions, d.Name)
		if s.DataSchema.Dedup != nil && d.Name == s.DataSchema.Dedup.Key && d.Type == spec.DimString && !slices.Contains(transformed, d.Name) {
			schema.KeyColumn = d.Name
		}
	}
	schema.SortBy = slices.Clone(s.DataSchema.SortBy)
}

// timeWarnings warns of changes after which two copies of a record may not be recognised.
func timeWarnings(before, s *spec.Supervisor) []string {
	if before == nil || s.DataSchema.Dedup == nil {
		return nil
	}
	a, b := before.DataSchema.Timestamp, s.DataSchema.Timestamp
	if a.Column == b.Column && a.Format == b.Format {
		return nil
	}
	return []string{"spec.dataSchema.timestampSpec: of a record that was read before this change, a copy read after it is " +
		"recognised only if its time still falls into the same time chunk"}
}
