package deploy

import (
	"regexp"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// checkExpression reports metrics and labels of a PromQL expression that nobody exports, and returns the labels of its result.
func checkExpression(t *testing.T, where, expression string) labelSet {
	t.Helper()
	parsed, err := parser.ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %s: %v", where, expression, err)
		return labelSet{}
	}
	c := &expressionChecker{t: t, where: where + ": " + expression, metrics: metrics(t)}
	return c.labels(parsed)
}

type expressionChecker struct {
	t       *testing.T
	where   string
	metrics map[string]labelSet
}

// labels returns the labels that the samples of a node have.
func (c *expressionChecker) labels(node parser.Expr) labelSet {
	switch n := node.(type) {
	case *parser.VectorSelector:
		return c.selector(n)
	case *parser.MatrixSelector:
		return c.labels(n.VectorSelector)
	case *parser.SubqueryExpr:
		return c.labels(n.Expr)
	case *parser.ParenExpr:
		return c.labels(n.Expr)
	case *parser.UnaryExpr:
		return c.labels(n.Expr)
	case *parser.AggregateExpr:
		return c.aggregate(n)
	case *parser.BinaryExpr:
		return c.binary(n)
	case *parser.Call:
		out := labelSet{}
		for _, argument := range n.Args {
			for label := range c.labels(argument) {
				out[label] = true
			}
		}
		if n.Func.Name == "histogram_quantile" {
			if !out["le"] {
				c.t.Errorf("%s: a quantile needs the label le", c.where)
			}
			delete(out, "le")
		}
		return out
	}
	return labelSet{}
}

func (c *expressionChecker) selector(n *parser.VectorSelector) labelSet {
	known, ok := c.metrics[n.Name]
	if !ok {
		c.t.Errorf("%s: nobody exports %s", c.where, n.Name)
	}
	out := scrapeLabels()
	for label := range known {
		out[label] = true
	}
	for _, m := range n.LabelMatchers {
		if m.Name != model.MetricNameLabel && !out[m.Name] {
			c.t.Errorf("%s: %s has no label %s", c.where, n.Name, m.Name)
		}
	}
	return out
}

func (c *expressionChecker) aggregate(n *parser.AggregateExpr) labelSet {
	inner := c.labels(n.Expr)
	if n.Without {
		c.t.Errorf("%s: name the labels that stay (by), not those that go", c.where)
	}
	for _, label := range n.Grouping {
		if !inner[label] {
			c.t.Errorf("%s: there is no label %s to group by", c.where, label)
		}
	}
	return labels(n.Grouping...)
}

func (c *expressionChecker) binary(n *parser.BinaryExpr) labelSet {
	left, right := c.labels(n.LHS), c.labels(n.RHS)
	if n.LHS.Type() == parser.ValueTypeScalar {
		return right
	}
	if n.RHS.Type() == parser.ValueTypeScalar || n.VectorMatching == nil || n.VectorMatching.On || n.Op == parser.LOR {
		return left
	}
	for label := range left {
		if !right[label] {
			c.t.Errorf("%s: the left side has the label %s, the right side has not: nothing would match", c.where, label)
		}
	}
	for label := range right {
		if !left[label] {
			c.t.Errorf("%s: the right side has the label %s, the left side has not: nothing would match", c.where, label)
		}
	}
	return left
}

// templated finds the labels that a text shows, in Prometheus' form and in Grafana's.
var templated = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)

// checkTemplate reports labels in a text that the samples do not have.
func checkTemplate(t *testing.T, where, text string, have labelSet) {
	t.Helper()
	for _, match := range templated.FindAllStringSubmatch(text, -1) {
		if !have[match[1]] {
			t.Errorf("%s: %q shows the label %s, which the expression does not keep", where, text, match[1])
		}
	}
}
