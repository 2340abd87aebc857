package query

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tableRef is a table as a statement names it.
type tableRef struct {
	schema, name string
	alias        string
	renamed      bool // the alias gives the columns other names
	location     int  // byte offset of the name in the statement
}

// mention is one place in a statement that reads a table, with what its WHERE clause is known to ask of each row.
type mention struct {
	ref        tableRef
	table      string // as the resolver calls it
	conditions []condition
}

// admitted is what the gate has learnt about a statement.
type admitted struct {
	mentions []mention
	// qualified are columns written with a schema, such as druid.t.x: byte offsets of the references.
	qualified []int
	sketches  []sketchCall
	use       columnUse
	hasLimit  bool // the statement as a whole ends in a LIMIT
}

// resolver says which known table a name without a CTE means.
type resolver func(ref tableRef) (string, *Error)

// gate walks one statement's tree and admits only what it knows: kinds of nodes, tables and functions. All else is
// refused, so that a new feature of the parser is closed until somebody has looked at it.
type gate struct {
	resolve    resolver
	parameters []any
	out        admitted
	depth      int
	// nested counts the subqueries and lambdas around the place that is walked, bindings what they cost to bind, joins
	// the joins met.
	nested, bindings, joins int
	readsTable              bool // of the SELECT that is walked: see columnUse.noteColumns
}

// Limits on what DuckDB plans in exponential or steeply growing time, and without looking at time limits.
const (
	// maxBindings bounds how often subqueries and lambdas are bound: one within n others is bound 2^n times.
	maxBindings = 1 << 15
	maxJoins    = 64
)

// scope is the chain of CTE names that a place in the statement can see. DuckDB binds a CTE's query before the names
// that follow it, so names become visible in the order of their definition, never earlier. A name that is visible here
// and not to DuckDB would reach its own tables, and files: the two must fold case alike.
type scope struct {
	name  string // lower case by foldName
	outer *scope
}

func (s *scope) has(name string) bool {
	name = foldName(name)
	for ; s != nil; s = s.outer {
		if s.name == name {
			return true
		}
	}
	return false
}

// admit checks the statements of a text. The parameters are used for bounds only.
func admit(statements []node, resolve resolver, parameters []any) (*admitted, *Error) {
	switch len(statements) {
	case 0:
		return nil, newError(Invalid, "write one SELECT", "the query is empty")
	case 1:
	default:
		return nil, newError(Forbidden, "send one SELECT per request", "the query holds %d statements", len(statements))
	}
	g := &gate{resolve: resolve, parameters: parameters}
	top := statements[0].child("node")
	for _, m := range top.list("modifiers") {
		switch asNode(m).text("type") {
		case "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER":
			g.out.hasLimit = true
		}
	}
	if err := g.queryNode(top, nil); err != nil {
		return nil, err
	}
	return &g.out, nil
}

func (g *gate) enter() *Error {
	g.depth++
	if g.depth > maxTreeDepth {
		return newError(Invalid, "simplify it", "the query nests deeper than %d levels", maxTreeDepth)
	}
	return nil
}

func (g *gate) leave() { g.depth-- }

// queryNode walks one SELECT, set operation or recursive CTE.
func (g *gate) queryNode(n node, s *scope) *Error {
	if err := g.enter(); err != nil {
		return err
	}
	defer g.leave()
	s, err := g.ctes(n, s)
	if err != nil {
		return err
	}
	switch kind := n.text("type"); kind {
	case "SELECT_NODE":
		return g.selectNode(n, s)
	case "SET_OPERATION_NODE":
		return g.members(n, s, "left", "right", "children")
	case "RECURSIVE_CTE_NODE":
		s = &scope{name: foldName(n.text("cte_name")), outer: s}
		return g.members(n, s, "left", "right")
	default:
		return newError(Forbidden, "write a plain SELECT", "%s is not allowed in a query", statementName(kind))
	}
}

// members walks the given members as parts of the query, and everything else but the CTEs as expressions.
func (g *gate) members(n node, s *scope, queries ...string) *Error {
	for _, key := range queries {
		for _, part := range append([]any{n[key]}, n.list(key)...) {
			if m := asNode(part); m != nil {
				if err := g.queryNode(m, s); err != nil {
					return err
				}
			}
		}
	}
	return g.any(n["modifiers"], s)
}

func (g *gate) ctes(n node, s *scope) (*scope, *Error) {
	for _, item := range n.child("cte_map").list("map") {
		entry := asNode(item)
		name := entry.text("key")
		if strings.HasPrefix(strings.ToLower(name), internalPrefix) {
			return nil, newError(Forbidden, "choose another name", "the name %s is reserved", name)
		}
		value := entry.child("value")
		if err := g.queryNode(value.child("query").child("node"), s); err != nil {
			return nil, err
		}
		if err := g.any(value["key_targets"], s); err != nil {
			return nil, err
		}
		s = &scope{name: foldName(name), outer: s}
	}
	return s, nil
}

func (g *gate) selectNode(n node, s *scope) *Error {
	outer := g.readsTable
	defer func() { g.readsTable = outer }()
	g.readsTable = true // in conditions of joins
	first := len(g.out.mentions)
	from := n.child("from_table")
	if err := g.from(from, s); err != nil {
		return err
	}
	g.readsTable = readsTable(from, g.out.mentions[first:])
	addConditions(from, n.child("where_clause"), g.out.mentions[first:], g.parameters)
	for _, key := range slices.Sorted(maps.Keys(n)) {
		switch key {
		case "from_table", "cte_map", "type":
			continue
		}
		if err := g.any(n[key], s); err != nil {
			return err
		}
	}
	return nil
}

// from walks the FROM clause.
func (g *gate) from(n node, s *scope) *Error {
	if n == nil {
		return nil
	}
	if err := g.enter(); err != nil {
		return err
	}
	defer g.leave()
	switch kind := n.text("type"); kind {
	case "EMPTY":
		return nil
	case "BASE_TABLE":
		return g.baseTable(n, s)
	case "SUBQUERY":
		return g.queryNode(n.child("subquery").child("node"), s)
	case "EXPRESSION_LIST":
		return g.any(n["values"], s)
	case "TABLE_FUNCTION":
		return g.tableFunction(n.child("function"), s)
	case "JOIN":
		if g.joins++; g.joins > maxJoins {
			return newError(Invalid, "simplify it", "the query holds more than %d joins", maxJoins)
		}
		g.out.use.noteJoin(n)
		for _, side := range []string{"left", "right"} {
			if err := g.from(n.child(side), s); err != nil {
				return err
			}
		}
		return g.any(n["condition"], s)
	default:
		return newError(Forbidden, "use INFORMATION_SCHEMA.COLUMNS or INFORMATION_SCHEMA.TABLES to look around",
			"%s is not allowed in a query", statementName(kind))
	}
}

func (g *gate) baseTable(n node, s *scope) *Error {
	ref := tableRef{schema: n.text("schema_name"), name: n.text("table_name"), alias: n.text("alias"), location: n.location()}
	ref.renamed = len(n.list("column_name_alias")) > 0
	if n["at_clause"] != nil {
		return newError(Forbidden, "leave AT out", "table %s: time travel is not supported", ref.name)
	}
	if c := n.text("catalog_name"); c != "" {
		return newError(Forbidden, "write the table's name alone, or druid.name", "table %s.%s.%s: catalogs cannot be named",
			c, ref.schema, ref.name)
	}
	if ref.schema == "" && s.has(ref.name) {
		return nil
	}
	table, err := g.resolve(ref)
	if err != nil {
		return err
	}
	g.out.mentions = append(g.out.mentions, mention{ref: ref, table: table})
	return nil
}

func (g *gate) tableFunction(n node, s *scope) *Error {
	name := strings.ToLower(n.text("function_name"))
	if !allowedTableFunctions[name] {
		return newError(Forbidden, "FROM takes tables, subqueries, VALUES, unnest, range and generate_series",
			"the table function %s cannot be used in a query", name)
	}
	if err := checkQualifier(n, name); err != nil {
		return err
	}
	return g.any(n["children"], s)
}

// any walks a value of the tree that is not part of a FROM clause.
func (g *gate) any(v any, s *scope) *Error {
	if err := g.enter(); err != nil {
		return err
	}
	defer g.leave()
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := g.any(item, s); err != nil {
				return err
			}
		}
	case map[string]any:
		return g.object(v, s)
	}
	return nil
}

func (g *gate) object(n node, s *scope) *Error {
	if class, ok := n["class"]; ok {
		if err := g.expression(n, fmt.Sprint(class)); err != nil {
			return err
		}
		if class == "SUBQUERY" || class == "LAMBDA" {
			if err := g.nest(); err != nil {
				return err
			}
			defer func() { g.nested-- }()
		}
	} else if inner := n.child("node"); inner != nil {
		return g.queryNode(inner, s)
	} else if kind := n.text("type"); kind != "" && !allowedPlainNodes[kind] {
		return newError(Forbidden, "write a plain SELECT", "%s is not allowed in a query", statementName(kind))
	}
	for _, key := range slices.Sorted(maps.Keys(n)) {
		if key == "value" && n.text("class") == "CONSTANT" || key == "cast_type" && n.text("class") == "CAST" {
			continue // a constant's value, a type: neither holds expressions
		}
		if err := g.any(n[key], s); err != nil {
			return err
		}
	}
	return nil
}

// nest enters a subquery or a lambda.
func (g *gate) nest() *Error {
	g.nested++
	if g.nested < 16 {
		g.bindings += 1 << g.nested
	}
	if g.nested >= 16 || g.bindings > maxBindings {
		return newError(Invalid, "simplify it", "the query nests too many subqueries or lambdas in one another")
	}
	return nil
}

// expression checks one expression's own kind and name; its parts are walked by the caller.
func (g *gate) expression(n node, class string) *Error {
	g.out.use.noteColumns(n, class, g.readsTable)
	switch class {
	case "FUNCTION", "WINDOW":
		name := strings.ToLower(n.text("function_name"))
		if class == "WINDOW" && name == "" {
			return nil // row_number and its like are kinds of the node itself
		}
		if n.flag("export_state") {
			return newError(Forbidden, "leave EXPORT_STATE out", "the state of aggregates cannot be read")
		}
		if err := checkFunction(name); err != nil {
			return err
		}
		if err := g.out.noteSketch(n, class, name); err != nil {
			return err
		}
		return checkQualifier(n, name)
	case "COLUMN_REF":
		if names := n.list("column_names"); len(names) >= 3 {
			if first, _ := names[0].(string); isSchemaName(first) {
				g.out.qualified = append(g.out.qualified, n.location())
			}
		}
		return nil
	}
	if !allowedClasses[class] {
		return newError(Forbidden, "write it differently", "an expression of the kind %s is not allowed in a query", class)
	}
	return nil
}

func checkQualifier(n node, name string) *Error {
	if s := strings.ToLower(n.text("schema")); (s != "" && s != "main") || n.text("catalog") != "" {
		return newError(Forbidden, "write the function's name alone", "function %s: schemas of functions cannot be named", name)
	}
	return nil
}

func isSchemaName(s string) bool {
	switch strings.ToLower(s) {
	case "druid", "sys", "information_schema":
		return true
	}
	return false
}

func statementName(kind string) string {
	switch kind {
	case "SHOW_REF":
		return "a look at the catalog (SHOW, DESCRIBE, SUMMARIZE)"
	case "PIVOT":
		return "PIVOT"
	}
	return strings.ToLower(strings.ReplaceAll(kind, "_", " "))
}
