package query

import "slices"

// columnUse is what a statement says of columns: one that it does not name is surely not read. It errs towards reading.
type columnUse struct {
	all bool // something stands for columns without naming them
	// names are all parts of references, last those that stand last in one: a table's name there means its whole rows. Both
	// by foldName.
	names, last map[string]bool
}

func (u *columnUse) add(name string) {
	if u.names == nil {
		u.names = map[string]bool{}
	}
	u.names[foldName(name)] = true
}

// noteReference remembers a.b.c, any part of which may be the column.
func (u *columnUse) noteReference(parts []any) {
	for i, part := range parts {
		name, ok := part.(string)
		if !ok {
			u.all = true
			continue
		}
		u.add(name)
		if i == len(parts)-1 {
			if u.last == nil {
				u.last = map[string]bool{}
			}
			u.last[foldName(name)] = true
		}
	}
}

// noteJoin remembers the columns that a join compares without an expression.
func (u *columnUse) noteJoin(n node) {
	if n.text("ref_type") == "NATURAL" {
		u.all = true
	}
	for _, c := range n.list("using_columns") {
		u.noteReference([]any{c})
	}
}

// noteColumns looks at one expression. A star that names no table stands for what its own FROM clause gives: readsTable
// says whether tables are directly in that, and not only subqueries, which name their columns themselves.
func (u *columnUse) noteColumns(n node, class string, readsTable bool) {
	switch class {
	case "COLUMN_REF":
		u.noteReference(n.list("column_names"))
	case "STAR":
		u.all = u.all || readsTable || n.text("relation_name") != ""
	case "POSITIONAL_REFERENCE", "DEFAULT":
		u.all = true
	}
}

// everyColumn says whether the statement may read every column of the table that a mention is of.
func (a *admitted) everyColumn(m mention) bool {
	name := m.ref.alias
	if name == "" {
		name = m.ref.name
	}
	return a.use.all || m.ref.renamed || a.use.last[foldName(name)] || a.use.last[foldName(m.ref.name)]
}

// reads says whether the statement may read a column of the table.
func (a *admitted) reads(table, column string) bool {
	return a.use.names[foldName(column)] || slices.ContainsFunc(a.mentions, func(m mention) bool { return m.table == table && a.everyColumn(m) })
}

// readsTable says whether a star beside this FROM clause can stand for columns of a table. mentions are those within it.
func readsTable(from node, mentions []mention) bool {
	if from == nil || from.text("type") == "EMPTY" {
		return true
	}
	direct := directTables(from, map[int]bool{})
	return slices.ContainsFunc(mentions, func(m mention) bool { return direct[m.ref.location] })
}
