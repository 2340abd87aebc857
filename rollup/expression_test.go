package rollup

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"drumlin/internal/testkit"
)

// TestExpressions evaluates each line of the input over the fields that `record` has given as a JSON object.
func TestExpressions(t *testing.T) {
	datadriven.Walk(t, "testdata/expressions", func(t *testing.T, path string) {
		var record map[string]any
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "record":
				record = nil
				decoder := json.NewDecoder(strings.NewReader(d.Input))
				decoder.UseNumber()
				if err := decoder.Decode(&record); err != nil {
					t.Fatalf("%s: %v", d.Pos, err)
				}
				return ""
			case "eval":
				var out strings.Builder
				for line := range strings.SplitSeq(d.Input, "\n") {
					fmt.Fprintln(&out, evalText(line, record))
				}
				return out.String()
			}
			t.Fatalf("%s: %s is not known", d.Pos, d.Cmd)
			return ""
		})
	})
}

func evalText(text string, record map[string]any) string {
	e, err := ParseExpression(text)
	if err != nil {
		return "refused: " + err.Error()
	}
	var values []Scalar
	for _, name := range e.Fields() {
		values = append(values, scalarOf(record[name]))
	}
	v, err := e.Eval(values)
	if err != nil {
		return "error: " + err.Error()
	}
	return showScalar(v)
}

// scalarOf gives a JSON value as the decoder does.
func scalarOf(v any) Scalar {
	switch v := v.(type) {
	case bool:
		out := boolScalar(v)
		out.Text = strconv.AppendBool(nil, v)
		return out
	case string:
		return textScalar([]byte(v))
	case json.Number:
		return numberOf(textScalar([]byte(v)))
	}
	return Scalar{}
}

func showScalar(v Scalar) string {
	switch v.Type {
	case ScalarLong:
		return strconv.FormatInt(v.Long, 10)
	case ScalarDouble:
		return string(AppendDouble(nil, v.Double))
	case ScalarText:
		return strconv.Quote(string(v.Text))
	}
	return "null"
}

// TestExpressionsAreSound evaluates random expressions over random fields: no panic, valid texts, the same answer twice, an
// answer that does not depend on what was evaluated before, and little time.
func TestExpressionsAreSound(t *testing.T) {
	seed := rand.Uint64()
	m := &expressionMaker{rng: rand.New(rand.NewPCG(seed, 0))}
	parsed := 0
	for range 5000 {
		text := m.make(4)
		e, err := ParseExpression(text)
		if err != nil {
			continue
		}
		parsed++
		values := make([]Scalar, len(e.Fields()))
		for i := range values {
			values[i] = m.value()
		}
		if err := checkExpression(e, values); err != nil {
			t.Fatalf("seed %d: %s over %v: %v", seed, text, values, err)
		}
	}
	if parsed < 1000 {
		t.Errorf("seed %d: only %d expressions could be read", seed, parsed)
	}
}

func checkExpression(e *Expression, values []Scalar) error {
	before := slices.Clone(values)
	began := time.Now()
	a, errA := e.Eval(values)
	if took := time.Since(began); took > 5*time.Second {
		return fmt.Errorf("took %s", took)
	}
	a.Text = slices.Clone(a.Text)
	b, errB := e.Eval(values)
	if fmt.Sprint(errA) != fmt.Sprint(errB) || errA == nil && showScalar(a) != showScalar(b) {
		return fmt.Errorf("%s, %v, then %s, %v", showScalar(a), errA, showScalar(b), errB)
	}
	if !slices.EqualFunc(values, before, func(x, y Scalar) bool { return showScalar(x) == showScalar(y) }) {
		return fmt.Errorf("it changed its fields")
	}
	if errA == nil && !json.Valid([]byte(mustJSON(string(a.Text)))) || !validText(a.Text) {
		return fmt.Errorf("%q is not UTF-8", a.Text)
	}
	return nil
}

func mustJSON(s string) string {
	out, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func validText(b []byte) bool { return strings.ToValidUTF8(string(b), "") == string(b) }

// expressionMaker makes expressions that are mostly valid.
type expressionMaker struct {
	rng *rand.Rand
}

func (m *expressionMaker) pick(texts ...string) string { return texts[m.rng.IntN(len(texts))] }

func (m *expressionMaker) make(depth int) string {
	if depth == 0 || m.rng.IntN(5) == 0 {
		return m.pick("a", "b", `"c d"`, "__time", "1", "0", "-3", "2.5", "9223372036854775807", "1e300", "'x'", "'Äß€😀'", "'12'",
			"'2020-01-31'", "null", "''")
	}
	sub := func() string { return m.make(depth - 1) }
	switch m.rng.IntN(4) {
	case 0:
		return "(" + sub() + ") " + m.pick("+", "-", "*", "/", "%", "^", "<", "<=", ">", ">=", "==", "!=", "&&", "||") + " (" + sub() + ")"
	case 1:
		return m.pick("-", "!") + "(" + sub() + ")"
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range exprFunctions {
			if !yield(name) {
				return
			}
		}
	})
	f := exprFunctions[names[m.rng.IntN(len(names))]]
	most := f.most
	if most < 0 {
		most = f.least + 3
	}
	args := []string{sub()}
	for i := 1; i < f.least+m.rng.IntN(most-f.least+1); i++ {
		args = append(args, m.argument(f.name, i, sub))
	}
	return f.name + "(" + strings.Join(args, ", ") + ")"
}

// argument makes what must be known beforehand.
func (m *expressionMaker) argument(function string, i int, sub func() string) string {
	switch {
	case function == "cast":
		return m.pick("'LONG'", "'double'", "'STRING'")
	case strings.HasPrefix(function, "regexp"):
		return m.pick("'.'", "'(x)|y'", "'$1'", "'[a-z]+'", "0", "1")
	case function == "like":
		return m.pick("'%x_'", "'%%%'", "'!%'", "'!'")
	case function == "round", function == "parse_long":
		return m.pick("2", "16", "-3")
	case strings.HasSuffix(function, "trim"):
		return "'x1 '"
	case function == "timestamp_extract" && i == 1:
		return m.pick("'HOUR'", "'DOY'", "'ISOYEAR'")
	case function == "timestamp_parse", function == "timestamp_format":
		return m.pick("'yyyy-MM-dd'", "null", "'UTC'", "'E w K a'")
	case strings.HasPrefix(function, "timestamp") && (i == 1 || i > 1 && function != "timestamp_shift"):
		return m.pick("'PT1H'", "'P1M'", "'P1W'", "'P1Y'", "'2020-02-29'", "'UTC'", "null")
	}
	return sub()
}

func (m *expressionMaker) value() Scalar {
	switch m.rng.IntN(4) {
	case 0:
		return Scalar{}
	case 1:
		return longScalar([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1442018818771, m.rng.Int64()}[m.rng.IntN(7)])
	case 2:
		return doubleScalar([]float64{0, math.Copysign(0, -1), 1.5, math.NaN(), math.Inf(-1), 1e300, m.rng.NormFloat64()}[m.rng.IntN(7)])
	}
	return textScalar([]byte(m.pick("", "x", "12", "-1.5e3", "true", "2015-09-12T00:46:58Z", "Straße 7", strings.Repeat("xy", 500))))
}

// FuzzExpression reads any text as an expression and evaluates it.
func FuzzExpression(f *testing.F) {
	m := &expressionMaker{rng: rand.New(rand.NewPCG(1, 1))}
	for range 200 {
		f.Add(m.make(3), "x", int64(3))
	}
	for _, text := range []string{`'\u0041'`, `"a\"b"`, "1e", "((((", "a && b || c", "lowr(a)", "1 < 2 < 3", "'", "-9223372036854775808"} {
		f.Add(text, "12", int64(-1))
	}
	f.Fuzz(func(t *testing.T, text, field string, number int64) {
		e, err := ParseExpression(text)
		if err != nil || !validText([]byte(field)) {
			return
		}
		values := make([]Scalar, len(e.Fields()))
		for i := range values {
			values[i] = []Scalar{textScalar([]byte(field)), longScalar(number), doubleScalar(float64(number) / 7), {}}[i%4]
		}
		if err := checkExpression(e, values); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	})
}

func TestExpressionLimits(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 65) + "1" + strings.Repeat(")", 65), strings.Repeat("-", 70) + "a", "1" + strings.Repeat("^1", 70),
		strings.Repeat("abs(", 70) + "1" + strings.Repeat(")", 70), "a" + strings.Repeat("+a", 1000),
		"'" + strings.Repeat("x", maxExpressionBytes) + "'",
	} {
		if _, err := ParseExpression(text); err == nil {
			t.Errorf("%.40s… was accepted", text)
		}
	}
	large, err := ParseExpression("concat(a, a, a, a, a, a, a, a, a, a)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := large.Eval([]Scalar{textScalar(make([]byte, 2<<20))}); err == nil {
		t.Error("20 MiB of text were made")
	}
}

// TestFunctionsAreDocumented holds the table of docs/expressions.md to the functions that there are.
func TestFunctionsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "docs", "expressions.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := strings.ReplaceAll(string(text), `\|`, "|")
	for name, f := range exprFunctions {
		if f.name != name || !strings.Contains(documented, "`"+f.form+"`") {
			t.Errorf("docs/expressions.md does not list `%s`", f.form)
		}
	}
	for _, m := range regexp.MustCompile("`([a-z_]+)\\(").FindAllStringSubmatch(documented, -1) {
		if _, ok := exprFunctions[m[1]]; !ok {
			t.Errorf("docs/expressions.md lists %s, which is no function", m[1])
		}
	}
}
