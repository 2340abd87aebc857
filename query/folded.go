package query

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"drumlin/rollup"
	"drumlin/segment"
)

// foldedScan names what a query has folded for one part of its plan.
type foldedScan struct {
	token int64
	some  bool // false: there was nothing to fold
}

// foldedBranches show rolled-up rows: those that are settled as files hold them, of those that others may have to be
// merged with the ones that no folded row has the key of, and the folded ones.
func (t *tableSQL) foldedBranches(p *planPart, folded foldedScan) []string {
	var branches []string
	stored, list := p.rules.storedColumns(), p.rules.finalColumns(t.columns, "r.")
	settled := p.settled
	if !folded.some {
		settled = append(settled[:len(settled):len(settled)], p.merged...)
	}
	if len(settled) > 0 {
		branches = append(branches, fmt.Sprintf("SELECT %s FROM %s r", list, readParquet(t.paths(settled), stored)))
	}
	if !folded.some {
		return branches
	}
	if len(p.merged) > 0 {
		branches = append(branches, fmt.Sprintf("SELECT %s FROM %s r ANTI JOIN drumlin_scan(%d) k ON %s", list,
			readParquet(t.paths(p.merged), stored), folded.token, p.rules.sameKey("r.", "k.")))
	}
	return append(branches, fmt.Sprintf("SELECT %s FROM drumlin_scan(%d) r", list, folded.token))
}

// storedColumns are the columns of folded rows.
func (r *rules) storedColumns() []segment.Column {
	layout := r.plan.FoldedSchema()
	out := make([]segment.Column, layout.NumFields())
	for i, f := range layout.Fields() {
		id, _ := segment.FieldID(f)
		out[i] = segment.Column{ID: id, Name: f.Name, Type: storedType(f.Type)}
	}
	return out
}

// storedType is the column type that an Arrow type of folded rows stands for; as a value, a JSON text is a text.
func storedType(t arrow.DataType) segment.ColumnType {
	switch t.ID() {
	case arrow.TIMESTAMP:
		return segment.TypeTime
	case arrow.INT64:
		return segment.TypeLong
	case arrow.INT32:
		return segment.TypeInt
	case arrow.FLOAT64:
		return segment.TypeDouble
	case arrow.FLOAT32:
		return segment.TypeFloat
	case arrow.BINARY:
		return segment.TypeBinary
	}
	return segment.TypeString
}

// sameKey is the condition that two folded rows are of one group. Nulls are alike, as are all NaN and both zeroes.
func (r *rules) sameKey(a, b string) string {
	parts := []string{fmt.Sprintf("%s%s = %s%s", a, segment.TimeColumn, b, segment.TimeColumn)}
	for _, c := range r.plan.Dimensions() {
		parts = append(parts, fmt.Sprintf("%s%s IS NOT DISTINCT FROM %s%s", a, quoteName(c.Name), b, quoteName(c.Name)))
	}
	return strings.Join(parts, " AND ")
}

// finalColumns are the table's columns as folded rows give them. A dimension or metric that these rules have dropped is
// null.
func (r *rules) finalColumns(columns []tableColumn, qualifier string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		switch {
		case c.metric != nil && r.hasMetric(c.Name):
			parts[i] = finalValue(c.metric, qualifier) + " AS " + quoteName(c.Name)
		case c.metric == nil && (c.Name == segment.TimeColumn || r.keeps(c.Name)):
			parts[i] = qualifier + quoteName(c.Name)
		default:
			parts[i] = nullColumn(c.Column)
		}
	}
	return strings.Join(parts, ", ")
}

// pastFloats is the least double that rounds to an infinite float.
const pastFloats = 1<<128 - 1<<103

// finalValue is a metric's value, made of its state. Sketches are shown as they are stored.
func finalValue(m *rollup.Metric, qualifier string) string {
	state := qualifier + quoteName(m.Name)
	switch {
	case m.Kind == rollup.KindSum && m.Type == segment.TypeLong:
		carry := qualifier + quoteName(rollup.CarryPrefix+m.Name)
		sum := fmt.Sprintf("CAST(%s AS HUGEINT) * 18446744073709551616 + %s", carry, state)
		return fmt.Sprintf("CASE WHEN %s IS NULL THEN %s ELSE CAST(error(%s || CAST(%s AS VARCHAR) || %s) AS BIGINT) END", carry, state,
			textLiteral("metric "+m.Name+": the sum "), sum,
			textLiteral(" does not fit 64 bits: query it over fewer rows, or define it as doubleSum"))
	case m.Kind == rollup.KindSum && m.Type == segment.TypeFloat:
		// A cast refuses what rounds to more than the greatest float.
		return fmt.Sprintf("CASE WHEN %[1]s >= %[2]s THEN CAST('inf' AS FLOAT) WHEN %[1]s <= -%[2]s THEN CAST('-inf' AS FLOAT)"+
			" ELSE CAST(%[1]s AS FLOAT) END", state, doubleLiteral(pastFloats))
	}
	return state
}
