package rollup

import (
	"maps"
	"slices"
	"strings"

	"drumlin/internal/nearest"
)

// exprFunction is one function of the language.
type exprFunction struct {
	name        string
	least, most int    // arguments; most −1: any number
	form        string // how it is called, for messages and docs
	compile     func(c *call) evalFunc
}

// call is a function with its arguments, being compiled. compile sets err where an argument can never do.
type call struct {
	name string
	args []exprNode
	err  error
}

func (c *call) fail(arg int, format string, a ...any) {
	if c.err == nil {
		c.err = exprError(c.args[arg].at, "%s: "+format, append([]any{c.name}, a...)...)
	}
}

// constText returns an argument that must be a text known beforehand; otherwise where it is not given.
func (c *call) constText(arg int, what, otherwise string) string {
	if arg >= len(c.args) {
		return otherwise
	}
	n := c.args[arg]
	if !n.constant || n.value.Type != ScalarText {
		c.fail(arg, "%s must be a text in single quotes", what)
		return otherwise
	}
	return string(n.value.Text)
}

// constLong returns an argument that must be a whole number known beforehand.
func (c *call) constLong(arg int, what string, otherwise int64) int64 {
	if arg >= len(c.args) {
		return otherwise
	}
	n := c.args[arg]
	if !n.constant || n.value.Type != ScalarLong {
		c.fail(arg, "%s must be a whole number", what)
		return otherwise
	}
	return n.value.Long
}

// noZone refuses time zones but UTC.
func (c *call) noZone(arg int) {
	if arg >= len(c.args) || c.args[arg].constant && c.args[arg].value.Type == ScalarNull {
		return
	}
	switch zone := c.constText(arg, "the time zone", "UTC"); zone {
	case "UTC", "Etc/UTC", "Z":
	default:
		c.fail(arg, "the time zone %q is not supported, only UTC is: rules of zones change, and a record must mean the same for ever", zone)
	}
}

var exprFunctions = knownFunctions()

func knownFunctions() map[string]exprFunction {
	out := map[string]exprFunction{}
	for _, list := range [][]exprFunction{conditionalFunctions(), textFunctions(), mathFunctions(), timeFunctions()} {
		for _, f := range list {
			out[f.name] = f
		}
	}
	return out
}

// findFunction returns the function of a name, or the nearest names.
func findFunction(t exprToken) (exprFunction, error) {
	if f, ok := exprFunctions[strings.ToLower(t.text)]; ok {
		return f, nil
	}
	names := slices.Sorted(maps.Keys(exprFunctions))
	if near := nearestName(strings.ToLower(t.text), names); near != "" {
		return exprFunction{}, exprError(t.at, "the function %s is not known; did you mean %s?", t.text, near)
	}
	return exprFunction{}, exprError(t.at, "the function %s is not known; known are %s", t.text, strings.Join(names, ", "))
}

// nearestName returns the name with the fewest edits to the one given, or one that holds it, or "".
func nearestName(name string, names []string) string {
	best := nearest.Name(name, names)
	for _, n := range names {
		if best == "" && len(name) > 3 && (strings.Contains(n, name) || len(n) > 3 && strings.Contains(name, n)) {
			best = n
		}
	}
	return best
}

func conditionalFunctions() []exprFunction {
	return []exprFunction{
		{"if", 3, 3, "if(condition, then, else)", compileIf},
		{"case_searched", 2, -1, "case_searched(condition1, result1, …[, else])", compileCaseSearched},
		{"case_simple", 3, -1, "case_simple(value, value1, result1, …[, else])", compileCaseSimple},
		{"nvl", 2, 2, "nvl(value, otherwise)", compileCoalesce},
		{"coalesce", 1, -1, "coalesce(value, …)", compileCoalesce},
		{"isnull", 1, 1, "isnull(value)", onTruth(func(v Scalar) bool { return v.Type == ScalarNull })},
		{"notnull", 1, 1, "notnull(value)", onTruth(func(v Scalar) bool { return v.Type != ScalarNull })},
		{"istrue", 1, 1, "istrue(value)", onTruth(func(v Scalar) bool { return truthOf(v) == isTrue })},
		{"isfalse", 1, 1, "isfalse(value)", onTruth(func(v Scalar) bool { return truthOf(v) == isFalse })},
		{"nottrue", 1, 1, "nottrue(value)", onTruth(func(v Scalar) bool { return truthOf(v) != isTrue })},
		{"notfalse", 1, 1, "notfalse(value)", onTruth(func(v Scalar) bool { return truthOf(v) != isFalse })},
		{"cast", 2, 2, "cast(value, 'LONG' | 'DOUBLE' | 'STRING')", compileCast},
	}
}

func onTruth(test func(Scalar) bool) func(c *call) evalFunc {
	return func(c *call) evalFunc {
		arg := c.args[0].eval
		return func(e *exprEnv) Scalar { return boolScalar(test(arg(e))) }
	}
}

func compileIf(c *call) evalFunc {
	condition, then, otherwise := c.args[0].eval, c.args[1].eval, c.args[2].eval
	return func(e *exprEnv) Scalar {
		if truthOf(condition(e)) == isTrue {
			return then(e)
		}
		return otherwise(e)
	}
}

func nothing(*exprEnv) Scalar { return Scalar{} }

func compileCaseSearched(c *call) evalFunc {
	args, otherwise := c.args, evalFunc(nothing)
	if len(args)%2 == 1 {
		args, otherwise = args[:len(args)-1], args[len(args)-1].eval
	}
	return func(e *exprEnv) Scalar {
		for i := 0; i < len(args); i += 2 {
			if truthOf(args[i].eval(e)) == isTrue {
				return args[i+1].eval(e)
			}
		}
		return otherwise(e)
	}
}

func compileCaseSimple(c *call) evalFunc {
	value, args, otherwise := c.args[0].eval, c.args[1:], evalFunc(nothing)
	if len(args)%2 == 1 {
		args, otherwise = args[:len(args)-1], args[len(args)-1].eval
	}
	return func(e *exprEnv) Scalar {
		v := value(e)
		for i := 0; i < len(args); i += 2 {
			if order, ok := compareScalars(v, args[i].eval(e)); ok && order == 0 {
				return args[i+1].eval(e)
			}
		}
		return otherwise(e)
	}
}

func compileCoalesce(c *call) evalFunc {
	args := c.args
	return func(e *exprEnv) Scalar {
		for _, a := range args {
			if v := a.eval(e); v.Type != ScalarNull {
				return v
			}
		}
		return Scalar{}
	}
}

func compileCast(c *call) evalFunc {
	arg := c.args[0].eval
	switch typ := strings.ToUpper(c.constText(1, "the type", "")); typ {
	case "LONG":
		return func(e *exprEnv) Scalar {
			n, ok := e.asLong(arg(e))
			if !ok {
				return Scalar{}
			}
			return longScalar(n)
		}
	case "DOUBLE":
		return func(e *exprEnv) Scalar {
			v := numberOf(arg(e))
			if v.Type == ScalarLong {
				return doubleScalar(float64(v.Long))
			}
			return v
		}
	case "STRING":
		return onText(func(_ *exprEnv, text []byte) Scalar { return textScalar(text) })(c)
	default:
		c.fail(1, "the type %q is not known: use LONG, DOUBLE or STRING", typ)
		return nothing
	}
}
