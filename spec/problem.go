package spec

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a spec. Path is empty where the text as a whole cannot be read.
type Problem struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// String returns the path and the message in one line.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Problems is the error of Parse: everything that is wrong with a spec, in the order of the text. It is never empty.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	if len(ps) == 1 {
		return "the spec is not valid: " + lines[0]
	}
	return fmt.Sprintf("the spec is not valid (%d problems):\n%s", len(ps), strings.Join(lines, "\n"))
}

// shown shortens a value for a message.
func shown(s string) string {
	const maxShownBytes = 80
	if len(s) > maxShownBytes {
		s = strings.ToValidUTF8(s[:maxShownBytes], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
