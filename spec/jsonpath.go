package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// PathStep is one step into a JSON value: to a field of an object, or to an element of a list.
type PathStep struct {
	Name    string
	Index   int
	IsIndex bool
}

// maxPathSteps bounds a path; JSON that is nested more deeply is rejected anyway.
const maxPathSteps = 64

// ParsePath reads the subset of JSONPath that is supported: $, then any number of .name, ['name'], ["name"] and
// [index]. The path "$" has no steps and means the whole record.
func ParsePath(expr string) ([]PathStep, error) {
	rest, ok := strings.CutPrefix(expr, "$")
	if !ok {
		return nil, fmt.Errorf("the path %s does not begin with $", shown(expr))
	}
	var steps []PathStep
	for rest != "" {
		var step PathStep
		var err error
		switch rest[0] {
		case '.':
			step, rest, err = nameStep(rest[1:])
		case '[':
			step, rest, err = bracketStep(rest[1:])
		default:
			err = errors.New("a step begins with . or [")
		}
		if err == nil && len(steps) == maxPathSteps {
			err = fmt.Errorf("it has more than %d steps", maxPathSteps)
		}
		if err != nil {
			return nil, fmt.Errorf("the path %s cannot be read: %w; the steps are .name, ['name'] and [index]",
				shown(expr), err)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func nameStep(s string) (step PathStep, rest string, err error) {
	if strings.HasPrefix(s, ".") {
		return PathStep{}, "", errors.New("searching at every depth (..) is not supported")
	}
	end := strings.IndexAny(s, ".[")
	if end < 0 {
		end = len(s)
	}
	name := s[:end]
	switch {
	case name == "":
		return PathStep{}, "", errors.New("a name is missing")
	case name == "*":
		return PathStep{}, "", errors.New("wildcards are not supported")
	case strings.ContainsAny(name, " \t\r\n()*?@,'\"]"):
		return PathStep{}, "", fmt.Errorf("the name %s must stand in brackets and quotes; functions are not supported",
			shown(name))
	}
	return PathStep{Name: name}, s[end:], nil
}

func bracketStep(s string) (step PathStep, rest string, err error) {
	if s == "" {
		return PathStep{}, "", errors.New("a bracket is not closed")
	}
	if quote := s[0]; quote == '\'' || quote == '"' {
		return quotedStep(s[1:], quote)
	}
	inside, rest, ok := strings.Cut(s, "]")
	if !ok {
		return PathStep{}, "", errors.New("a bracket is not closed")
	}
	n, err := strconv.Atoi(inside)
	if err != nil || n < 0 || inside[0] == '+' {
		return PathStep{}, "", fmt.Errorf("[%s] is not an index: wildcards, slices, filters and negative indexes are not "+
			"supported", inside)
	}
	return PathStep{Index: n, IsIndex: true}, rest, nil
}

// quotedStep reads a name up to the closing quote and bracket; a backslash takes the next character as it is.
func quotedStep(s string, quote byte) (step PathStep, rest string, err error) {
	var name strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			name.WriteByte(s[i])
		case s[i] == quote:
			rest, ok := strings.CutPrefix(s[i+1:], "]")
			if !ok {
				return PathStep{}, "", errors.New("a quoted name must be followed by ]")
			}
			return PathStep{Name: name.String()}, rest, nil
		default:
			name.WriteByte(s[i])
		}
	}
	return PathStep{}, "", errors.New("a quote is not closed")
}
