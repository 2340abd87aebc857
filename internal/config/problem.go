package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a configuration. Path is empty where the text as a whole cannot be read, Line is 0
// where the problem is not in one line.
type Problem struct {
	Path    string
	Line    int
	Message string
}

// String returns path, line and message in one line.
func (p Problem) String() string {
	switch {
	case p.Path == "":
		return p.Message
	case p.Line == 0:
		return p.Path + ": " + p.Message
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, p.Path, p.Message)
}

// Problems is the error of Parse and Validate: everything that is wrong, never empty.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	if len(ps) == 1 {
		return "the configuration is not valid: " + lines[0]
	}
	return fmt.Sprintf("the configuration is not valid (%d problems):\n%s", len(ps), strings.Join(lines, "\n"))
}

// asError returns nil where there is no problem.
func (ps Problems) asError() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
