package spec

import (
	"fmt"

	"drumlin/internal/strictyaml"
)

// The names of the two standing policies.
const (
	PolicyRecent     = "recent"
	PolicyHistorical = "historical"
)

// ParseAutoCompaction reads a datasource's auto-compaction config in YAML or JSON. The error is of type Problems and names
// everything that is wrong. Warnings name what was accepted without effect.
func ParseAutoCompaction(data []byte) (c *AutoCompaction, warnings []string, err error) {
	root, problems := readRoot(data, strictyaml.Map, "an auto-compaction config is an object with dataSource")
	if root == nil {
		return nil, nil, problems
	}
	b := newBuilder(AutoCompactionFields(), false)
	b.problems = problems
	o := object{b: b, node: root}
	b.check(o)
	out := b.autoCompaction(o)
	if len(b.problems) > 0 {
		return nil, b.warnings, b.problems
	}
	if out.Canonical, err = finish(root); err != nil {
		return nil, b.warnings, err
	}
	return out, b.warnings, nil
}

func (b *builder) autoCompaction(o object) *AutoCompaction {
	c := &AutoCompaction{
		DataSource:            b.dataSource(o),
		TaskPriority:          o.priority("taskPriority"),
		InputSegmentSizeBytes: o.whole("inputSegmentSizeBytes", 1),
		Change:                b.change(o),
		Tuning:                b.tuning(o.child("tuningConfig")),
	}
	if rows := o.limit("maxRowsPerSegment"); rows > 0 {
		if c.Tuning.MaxRowsPerSegment > 0 {
			o.problem("maxRowsPerSegment", "cannot be combined with tuningConfig.maxRowsPerSegment: say it there")
		}
		c.Tuning.MaxRowsPerSegment = rows
	}
	context := o.child("taskContext")
	if context.given("policy") {
		context.problem("policy", "is chosen by policies")
	}
	if context.given("priority") {
		if o.given("taskPriority") {
			context.problem("priority", "cannot be combined with taskPriority: say it there")
		}
		c.TaskPriority = context.priority("priority")
	}
	b.skipOffset(o, c)
	b.policies(o, c)
	return c
}

func (b *builder) skipOffset(o object, c *AutoCompaction) {
	switch {
	case o.given("skipOffsetFromLatest") && o.given("skipOffsetFromNow"):
		o.problem("skipOffsetFromNow", "cannot be combined with skipOffsetFromLatest: only one of the two can be set")
		o.skip("skipOffsetFromNow") // for what is wrong with it
		o.skip("skipOffsetFromLatest")
	case o.given("skipOffsetFromNow"):
		millis := o.skip("skipOffsetFromNow")
		c.SkipOffsetFromNowMillis = &millis
	default:
		c.SkipOffsetFromLatestMillis = o.skip("skipOffsetFromLatest")
	}
}

// skip reads a period that may have no length, in milliseconds of ordinary months and years.
func (o object) skip(key string) int64 {
	p, err := ParseCalendarPeriod(o.raw(key))
	if err != nil {
		o.problem(key, "%s", err)
		return 0
	}
	const monthDays, yearDays = 30, 365
	return min(p.Millis+(int64(p.Months/12)*yearDays+int64(p.Months%12)*monthDays)*dayMillis, endlessMillis)
}

func (b *builder) policies(o object, c *AutoCompaction) {
	if !o.given("policies") {
		c.Recent, c.Historical = true, true
		return
	}
	names := o.texts("policies")
	for i, name := range names {
		switch name {
		case PolicyRecent:
			c.Recent = true
		case PolicyHistorical:
			c.Historical = true
		case "": // reported
		default:
			o.problem(fmt.Sprintf("policies[%d]", i), "%s is not known; it must be recent or historical", shown(name))
		}
	}
	if len(names) == 0 {
		o.problem("policies", "is empty: delete the config to switch auto-compaction off")
	}
}
