package config

import (
	"fmt"
	"strings"
)

// expand replaces ${NAME} by the variable's value. $${ stands for ${ itself. Its errors name variables, never their values.
func expand(text string, getenv func(string) string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if strings.HasSuffix(before, "$") {
			out.WriteString("{")
			text = rest
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !isVariable(name) {
			return "", fmt.Errorf("${ must be followed by the name of a variable and }; write $${ for the characters themselves")
		}
		value := getenv(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is not set, or empty", name)
		}
		out.WriteString(value)
		text = after
	}
}

func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
