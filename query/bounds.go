package query

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"drumlin/segment"
)

// comparison is an operator of a condition.
type comparison int

const (
	equal comparison = iota // one of the condition's constants
	less
	lessOrEqual
	greater
	greaterOrEqual
)

// condition is something that every row a mention contributes must satisfy: column op constant. It only ever skips
// what cannot match; the statement's own WHERE still decides.
type condition struct {
	column    string // as written
	op        comparison
	constants []constant // exactly one, except for equal: one or more
}

// constant is a value in a statement, in the one field that its type has.
type constant struct {
	kind   constantKind
	long   int64 // also microseconds since 1970 for timestamps
	double float64
	text   string
}

type constantKind int

const (
	longConstant constantKind = iota
	doubleConstant
	textConstant
	timeConstant
)

// addConditions gives each mention of one FROM clause the conjuncts of the WHERE clause beside it that are simple
// comparisons of one of its columns. Joins that look at which rows exist (by position, as of) allow none; in the
// others a comparison also refuses the nulls that an outer join makes, so that skipping rows early changes nothing.
func addConditions(from, where node, mentions []mention, parameters []any) {
	if where == nil || len(mentions) == 0 || !prunable(from) {
		return
	}
	single := from.text("type") == "BASE_TABLE"
	direct := directTables(from, map[int]bool{})
	for _, c := range conjuncts(where, nil) {
		for _, cond := range conditionsOf(c, parameters) {
			for i := range mentions {
				if m := &mentions[i]; direct[m.ref.location] && m.owns(cond.qualifier, single) {
					m.conditions = append(m.conditions, cond.condition)
				}
			}
		}
	}
}

// owns says whether a column written with this qualifier is surely the mention's, under its own name.
func (m *mention) owns(qualifier string, single bool) bool {
	if m.ref.renamed {
		return false
	}
	if qualifier == "" {
		return single
	}
	name := m.ref.alias
	if name == "" {
		name = m.ref.name
	}
	return foldName(name) == foldName(qualifier)
}

// prunable says whether rows that fail the WHERE clause may be left out of the FROM clause's tables beforehand. Only
// tables directly in it are looked at: mentions inside its subqueries have their own WHERE.
func prunable(from node) bool {
	if from["sample"] != nil {
		return false
	}
	switch from.text("type") {
	case "BASE_TABLE":
		return true
	case "JOIN":
		switch from.text("ref_type") {
		case "REGULAR", "CROSS":
		default:
			return false
		}
		switch from.text("join_type") {
		case "INNER", "LEFT", "RIGHT", "OUTER":
		default:
			return false
		}
		return prunable(from.child("left")) && prunable(from.child("right"))
	}
	return false
}

// directTables collects the places of the tables that the FROM clause itself names: those in subqueries of its join
// conditions may bear the same alias and are not meant.
func directTables(from node, out map[int]bool) map[int]bool {
	switch from.text("type") {
	case "BASE_TABLE":
		if at := from.location(); at >= 0 {
			out[at] = true
		}
	case "JOIN":
		directTables(from.child("left"), out)
		directTables(from.child("right"), out)
	}
	return out
}

func conjuncts(n node, out []node) []node {
	if n.text("type") != "CONJUNCTION_AND" {
		return append(out, n)
	}
	for _, c := range n.list("children") {
		out = conjuncts(asNode(c), out)
	}
	return out
}

type qualifiedCondition struct {
	qualifier string
	condition
}

var comparisons = map[string]comparison{
	"COMPARE_EQUAL": equal, "COMPARE_LESSTHAN": less, "COMPARE_LESSTHANOREQUALTO": lessOrEqual,
	"COMPARE_GREATERTHAN": greater, "COMPARE_GREATERTHANOREQUALTO": greaterOrEqual,
}

var mirrored = map[comparison]comparison{
	equal: equal, less: greater, lessOrEqual: greaterOrEqual, greater: less, greaterOrEqual: lessOrEqual,
}

func conditionsOf(n node, parameters []any) []qualifiedCondition {
	switch kind := n.text("type"); kind {
	case "COMPARE_BETWEEN":
		return between(n, parameters)
	case "COMPARE_IN":
		children := n.list("children")
		if len(children) < 2 {
			return nil
		}
		return compared(asNode(children[0]), equal, parameters, children[1:]...)
	default:
		op, ok := comparisons[kind]
		if !ok || n.text("class") != "COMPARISON" {
			return nil
		}
		if c := compared(n.child("left"), op, parameters, n["right"]); c != nil {
			return c
		}
		return compared(n.child("right"), mirrored[op], parameters, n["left"])
	}
}

// between gives both bounds or none: DuckDB compares all three values as one type, and a bound of another type could
// make that a type with another order. Times have one order in every type that they are compared as.
func between(n node, parameters []any) []qualifiedCondition {
	lower := compared(n.child("input"), greaterOrEqual, parameters, n["lower"])
	upper := compared(n.child("input"), lessOrEqual, parameters, n["upper"])
	column := append(lower, upper...)
	switch {
	case len(column) > 0 && foldName(column[0].column) == segment.TimeColumn:
	case len(column) < 2 || column[0].constants[0].kind != column[1].constants[0].kind:
		return nil
	}
	return column
}

func compared(column node, op comparison, parameters []any, values ...any) []qualifiedCondition {
	if column.text("class") != "COLUMN_REF" {
		return nil
	}
	var names []string
	for _, part := range column.list("column_names") {
		s, _ := part.(string)
		names = append(names, s)
	}
	c := qualifiedCondition{condition: condition{op: op}}
	switch len(names) {
	case 1:
		c.column = names[0]
	case 2:
		c.qualifier, c.column = names[0], names[1]
	default:
		return nil
	}
	for _, v := range values {
		value, ok := constantOf(asNode(v), parameters)
		if !ok {
			return nil
		}
		c.constants = append(c.constants, value)
	}
	return []qualifiedCondition{c}
}

// constantOf reads a literal, a parameter, a timestamp literal or MILLIS_TO_TIMESTAMP of a literal.
func constantOf(n node, parameters []any) (constant, bool) {
	switch n.text("class") {
	case "CONSTANT":
		return literal(n.child("value"))
	case "PARAMETER":
		at, err := strconv.Atoi(n.text("identifier"))
		if err != nil || at < 1 || at > len(parameters) {
			return constant{}, false
		}
		return parameterConstant(parameters[at-1])
	case "CAST":
		kind := n.child("cast_type").text("id")
		inner, ok := constantOf(n.child("child"), parameters)
		if !ok || inner.kind != textConstant || (kind != "TIMESTAMP" && kind != "DATE") {
			return constant{}, false
		}
		micros, ok := parseTimestamp(inner.text)
		if kind == "DATE" && len(inner.text) != len(time.DateOnly) {
			return constant{}, false
		}
		return constant{kind: timeConstant, long: micros}, ok
	case "FUNCTION":
		if args := n.list("children"); strings.EqualFold(n.text("function_name"), "millis_to_timestamp") && len(args) == 1 {
			inner, ok := constantOf(asNode(args[0]), parameters)
			if ok && inner.kind == longConstant && inner.long > math.MinInt64/1000 && inner.long < math.MaxInt64/1000 {
				return constant{kind: timeConstant, long: inner.long * 1000}, true
			}
		}
	}
	return constant{}, false
}

func literal(value node) (constant, bool) {
	if value == nil || value.flag("is_null") {
		return constant{}, false
	}
	kind := value.child("type").text("id")
	switch kind {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT":
		num, _ := value["value"].(json.Number)
		long, err := strconv.ParseInt(num.String(), 10, 64)
		return constant{kind: longConstant, long: long}, err == nil
	case "DOUBLE":
		num, _ := value["value"].(json.Number)
		double, err := strconv.ParseFloat(num.String(), 64)
		return constant{kind: doubleConstant, double: double}, err == nil
	case "DECIMAL":
		return decimalLiteral(value)
	case "VARCHAR":
		text, ok := value["value"].(string)
		return constant{kind: textConstant, text: text}, ok
	}
	return constant{}, false
}

// decimalLiteral reads decimals whose conversion to a double is one correctly rounded division; others give no bound.
func decimalLiteral(value node) (constant, bool) {
	num, ok := value["value"].(json.Number)
	if !ok {
		return constant{}, false
	}
	scale, ok := value.child("type").child("type_info")["scale"].(json.Number)
	if !ok {
		return constant{}, false
	}
	digits, err := strconv.ParseInt(num.String(), 10, 64)
	if places, placesErr := scale.Int64(); err != nil || placesErr != nil || places > 22 || digits > 1<<53 || digits < -1<<53 {
		return constant{}, false
	}
	double, err := strconv.ParseFloat(num.String()+"e-"+scale.String(), 64)
	return constant{kind: doubleConstant, double: double}, err == nil
}

func parameterConstant(v any) (constant, bool) {
	switch v := v.(type) {
	case int64:
		return constant{kind: longConstant, long: v}, true
	case float64:
		return constant{kind: doubleConstant, double: v}, !math.IsNaN(v)
	case string:
		return constant{kind: textConstant, text: v}, true
	case time.Time:
		return constant{kind: timeConstant, long: v.UnixMicro()}, true
	}
	return constant{}, false
}

// timestampLayouts are the forms of which DuckDB's reading is certain; others give no bound.
var timestampLayouts = []string{
	"2006-01-02", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z", "2006-01-02T15:04:05Z",
	"2006-01-02 15:04", "2006-01-02T15:04",
}

// parseTimestamp returns microseconds since 1970. Fractions of a second stand after 05 in any layout and may have up to
// six digits.
func parseTimestamp(s string) (int64, bool) {
	if dot := strings.IndexByte(s, '.'); dot >= 0 && len(strings.TrimRight(s[dot+1:], "Z")) > 6 {
		return 0, false
	}
	for _, layout := range timestampLayouts {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1 {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}
