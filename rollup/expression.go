package rollup

import (
	"errors"
	"fmt"
	"slices"
)

// Limits of expressions. They bound the time and memory that one record can take: every function runs in time linear in its
// texts, but for like, and regular expressions are RE2.
const (
	maxExpressionBytes = 16 << 10
	maxExpressionDepth = 64
	maxExpressionNodes = 1000
	// maxMadeBytes is how much text the expressions of one record may make together.
	maxMadeBytes = 16 << 20
	// maxKeptMadeBytes is the largest memory for made texts that is kept from one record to the next.
	maxKeptMadeBytes = 1 << 20
)

// ScalarType is the type of a value in an expression. Fields have the type that their record gives them.
type ScalarType uint8

// The types. The zero Scalar is null.
const (
	ScalarNull ScalarType = iota
	ScalarLong
	ScalarDouble
	ScalarText // valid UTF-8
)

// Scalar is one value. Its text is borrowed: from the record, or from the evaluator until its next record.
type Scalar struct {
	Type   ScalarType
	Long   int64
	Double float64
	// Text is the value of a text. A long that was true or false keeps that word here: filters compare it.
	Text []byte
}

func longScalar(v int64) Scalar     { return Scalar{Type: ScalarLong, Long: v} }
func doubleScalar(v float64) Scalar { return Scalar{Type: ScalarDouble, Double: v} }
func textScalar(v []byte) Scalar    { return Scalar{Type: ScalarText, Text: v} }

func boolScalar(v bool) Scalar {
	if v {
		return longScalar(1)
	}
	return longScalar(0)
}

// Expression is one expression of Druid's language, in the subset of docs/expressions.md. It is immutable.
type Expression struct {
	text   string
	eval   evalFunc
	fields []string // that it reads, in the order of their slots
}

// ParseExpression reads an expression. The error says where and what to write instead.
func ParseExpression(text string) (*Expression, error) {
	fields := &fieldSlots{}
	root, err := parseExpression(text, fields)
	if err != nil {
		return nil, err
	}
	return &Expression{text: text, eval: root.eval, fields: fields.names}, nil
}

// String returns the expression as it was written.
func (e *Expression) String() string { return e.text }

// Fields returns the fields that the expression reads, each once, in the order in which Eval takes their values.
func (e *Expression) Fields() []string { return slices.Clone(e.fields) }

// Eval evaluates the expression over the values of its Fields. Its text may lie in them. The error says why the record has no
// value: what 64 bits cannot hold, a division by zero, a text that is too large.
func (e *Expression) Eval(values []Scalar) (Scalar, error) {
	if len(values) != len(e.fields) {
		return Scalar{}, fmt.Errorf("the expression reads %d fields, and %d values were given", len(e.fields), len(values))
	}
	env := &exprEnv{load: func(slot int) (Scalar, error) { return values[slot], nil }}
	out := e.eval(env)
	return out, env.err
}

// evalFunc is a compiled expression. After an error it returns anything: the first error in the environment counts.
type evalFunc func(*exprEnv) Scalar

// exprEnv is what expressions are evaluated in: the fields of one record, and memory for the texts that are made.
type exprEnv struct {
	load  func(slot int) (Scalar, error)
	made  []byte
	total int // bytes made for this record, in all arrays that made has had
	err   error
}

// field returns the value of a field.
func (e *exprEnv) field(slot int) Scalar {
	v, err := e.load(slot)
	if err != nil && e.err == nil {
		e.err = err
	}
	return v
}

// reset forgets the record before.
func (e *exprEnv) reset() {
	if cap(e.made) > maxKeptMadeBytes {
		e.made = nil
	}
	e.made, e.total, e.err = e.made[:0], 0, nil
}

func (e *exprEnv) fail(format string, args ...any) Scalar {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
	return Scalar{}
}

var errTextTooLarge = errors.New("the texts that the expressions of one record make are larger than 16 MiB together")

// reserve says whether so many bytes more may be made.
func (e *exprEnv) reserve(n int) bool {
	if e.err != nil {
		return false
	}
	if n > maxMadeBytes-e.total {
		e.err = errTextTooLarge
		return false
	}
	e.total += n
	return true
}

// finish returns what has been appended to made from that index on. Growing leaves earlier texts valid: they keep the older
// array.
func (e *exprEnv) finish(from int) Scalar {
	return textScalar(e.made[from:len(e.made):len(e.made)])
}

// fieldSlots numbers the fields that expressions read.
type fieldSlots struct {
	names []string
}

func (f *fieldSlots) slot(name string) int {
	if i := slices.Index(f.names, name); i >= 0 {
		return i
	}
	f.names = append(f.names, name)
	return len(f.names) - 1
}
