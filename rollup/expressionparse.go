package rollup

import (
	"slices"
	"strconv"
)

// exprNode is a part of an expression that has been compiled.
type exprNode struct {
	eval     evalFunc
	constant bool // its value is the same for every record
	value    Scalar
	at       int
}

type exprParser struct {
	tokens []exprToken
	fields *fieldSlots
	depth  int
	nodes  int
}

func parseExpression(text string, fields *fieldSlots) (exprNode, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return exprNode{}, err
	}
	p := &exprParser{tokens: tokens, fields: fields}
	n, err := p.logical()
	if err != nil {
		return n, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return n, exprError(t.at, "expected an operator or the end, found %s", t)
	}
	return n, nil
}

func (p *exprParser) peek() exprToken { return p.tokens[0] }

func (p *exprParser) next() exprToken {
	t := p.tokens[0]
	if t.kind != tokenEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

// operator takes one of the operators if it comes next.
func (p *exprParser) operator(ops ...string) (t exprToken, ok bool) {
	if t = p.peek(); t.kind != tokenOperator || !slices.Contains(ops, t.text) {
		return t, false
	}
	return p.next(), true
}

// node counts a node, and evaluates it at once where it cannot change.
func (p *exprParser) node(at int, eval evalFunc, args ...exprNode) (exprNode, error) {
	if p.nodes++; p.nodes > maxExpressionNodes {
		return exprNode{}, exprError(at, "the expression has more than %d parts", maxExpressionNodes)
	}
	n := exprNode{eval: eval, at: at}
	if slices.ContainsFunc(args, func(a exprNode) bool { return !a.constant }) {
		return n, nil
	}
	return constantNode(at, eval)
}

func constantNode(at int, eval evalFunc) (exprNode, error) {
	env := &exprEnv{}
	v := eval(env)
	if env.err != nil {
		return exprNode{}, exprError(at, "%s", env.err)
	}
	return exprNode{eval: func(*exprEnv) Scalar { return v }, constant: true, value: v, at: at}, nil
}

func (p *exprParser) enter(at int) error {
	if p.depth++; p.depth > maxExpressionDepth {
		return exprError(at, "the expression is nested deeper than %d", maxExpressionDepth)
	}
	return nil
}

// logical reads && or ||. Druid gives both one rank and reads them from left to right, SQL does not: mixed, they need
// parentheses.
func (p *exprParser) logical() (exprNode, error) {
	if err := p.enter(p.peek().at); err != nil {
		return exprNode{}, err
	}
	defer func() { p.depth-- }()
	left, err := p.comparison()
	if err != nil {
		return left, err
	}
	first := ""
	for {
		op, ok := p.operator("&&", "||")
		if !ok {
			return left, nil
		}
		if first == "" {
			first = op.text
		}
		if op.text != first {
			return left, exprError(op.at, "&& and || stand side by side: say by parentheses which comes first")
		}
		right, err := p.comparison()
		if err != nil {
			return right, err
		}
		if left, err = p.node(op.at, evalLogical(op.text == "||", left.eval, right.eval), left, right); err != nil {
			return left, err
		}
	}
}

func (p *exprParser) comparison() (exprNode, error) {
	left, err := p.sum()
	if err != nil {
		return left, err
	}
	ops := []string{"<", "<=", ">", ">=", "==", "!="}
	op, ok := p.operator(ops...)
	if !ok {
		return left, nil
	}
	right, err := p.sum()
	if err != nil {
		return right, err
	}
	if again, ok := p.operator(ops...); ok {
		return right, exprError(again.at, "%s compares the result of a comparison: join two comparisons with &&", again.text)
	}
	return p.node(op.at, evalComparison(op.text, left.eval, right.eval), left, right)
}

func (p *exprParser) sum() (exprNode, error) { return p.leftToRight(p.product, "+", "-") }

func (p *exprParser) product() (exprNode, error) { return p.leftToRight(p.power, "*", "/", "%") }

func (p *exprParser) leftToRight(operand func() (exprNode, error), ops ...string) (exprNode, error) {
	left, err := operand()
	for err == nil {
		op, ok := p.operator(ops...)
		if !ok {
			break
		}
		var right exprNode
		if right, err = operand(); err == nil {
			left, err = p.node(op.at, evalArithmetic(op.text[0], left.eval, right.eval), left, right)
		}
	}
	return left, err
}

// power reads ^, from right to left.
func (p *exprParser) power() (exprNode, error) {
	left, err := p.unary()
	if err != nil {
		return left, err
	}
	op, ok := p.operator("^")
	if !ok {
		return left, nil
	}
	if err := p.enter(op.at); err != nil {
		return left, err
	}
	defer func() { p.depth-- }()
	right, err := p.power()
	if err != nil {
		return right, err
	}
	return p.node(op.at, evalArithmetic('^', left.eval, right.eval), left, right)
}

// unary reads signs, which bind more closely than ^, as in Druid.
func (p *exprParser) unary() (exprNode, error) {
	op, ok := p.operator("-", "!")
	if !ok {
		return p.primary()
	}
	if err := p.enter(op.at); err != nil {
		return exprNode{}, err
	}
	defer func() { p.depth-- }()
	if t := p.peek(); op.text == "-" && (t.kind == tokenLong || t.kind == tokenDouble) {
		t = p.next()
		t.text, t.at = "-"+t.text, op.at
		return p.number(t)
	}
	inner, err := p.unary()
	if err != nil {
		return inner, err
	}
	if op.text == "!" {
		return p.node(op.at, evalNot(inner.eval), inner)
	}
	return p.node(op.at, evalNegative(inner.eval), inner)
}

func (p *exprParser) number(t exprToken) (exprNode, error) {
	var v Scalar
	if t.kind == tokenLong {
		long, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			return exprNode{}, exprError(t.at, "the number %s does not fit 64 bits: write it with a point", t.text)
		}
		v = longScalar(long)
	} else {
		double, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return exprNode{}, exprError(t.at, "the number %s is out of a double's range", t.text)
		}
		v = doubleScalar(double)
	}
	return p.node(t.at, func(*exprEnv) Scalar { return v })
}

func (p *exprParser) primary() (exprNode, error) {
	t := p.next()
	switch {
	case t.kind == tokenLong || t.kind == tokenDouble:
		return p.number(t)
	case t.kind == tokenText:
		text := []byte(t.text)
		return p.node(t.at, func(*exprEnv) Scalar { return textScalar(text) })
	case t.kind == tokenQuotedName:
		return p.field(t)
	case t.kind == tokenName:
		return p.named(t)
	case t.kind == tokenOperator && t.text == "(":
		n, err := p.logical()
		if err != nil {
			return n, err
		}
		if end, ok := p.operator(")"); !ok {
			return n, exprError(end.at, "expected an operator or ), found %s", end)
		}
		return n, nil
	}
	return exprNode{}, exprError(t.at, "expected a value, found %s", t)
}

// named reads null, a function, or a field.
func (p *exprParser) named(t exprToken) (exprNode, error) {
	if open, ok := p.operator("("); ok {
		return p.call(t, open)
	}
	switch t.text {
	case "null", "NULL":
		return p.node(t.at, func(*exprEnv) Scalar { return Scalar{} })
	case "NaN", "Infinity", "true", "false":
		return exprNode{}, exprError(t.at, "%s is no value here; if it is a field, write it in double quotes (true and false are 1 and 0)", t.text)
	}
	return p.field(t)
}

func (p *exprParser) field(t exprToken) (exprNode, error) {
	slot := p.fields.slot(t.text)
	n, err := p.node(t.at, func(e *exprEnv) Scalar { return e.field(slot) }, exprNode{})
	return n, err
}

// call reads the arguments of a function and compiles it.
func (p *exprParser) call(name, open exprToken) (exprNode, error) {
	f, err := findFunction(name)
	if err != nil {
		return exprNode{}, err
	}
	if err := p.enter(open.at); err != nil {
		return exprNode{}, err
	}
	defer func() { p.depth-- }()
	var args []exprNode
	if _, closed := p.operator(")"); !closed {
		for {
			arg, err := p.logical()
			if err != nil {
				return arg, err
			}
			args = append(args, arg)
			if _, more := p.operator(","); more {
				continue
			}
			if end, ok := p.operator(")"); !ok {
				return arg, exprError(end.at, "expected an operator, a comma or ) in %s(…), found %s", name.text, end)
			}
			break
		}
	}
	if len(args) < f.least || f.most >= 0 && len(args) > f.most {
		return exprNode{}, exprError(name.at, "%s takes %s, not %d arguments", name.text, f.form, len(args))
	}
	c := &call{name: name.text, args: args}
	eval := f.compile(c)
	if c.err != nil {
		return exprNode{}, c.err
	}
	return p.node(name.at, eval, args...)
}
