package api

import (
	"fmt"
	"testing"
)

func TestObjectKeysAreUnique(t *testing.T) {
	for _, c := range []struct{ names, want []string }{
		{[]string{"a", "b"}, []string{"a", "b"}},
		{[]string{"a", "a", "a"}, []string{"a", "a_1", "a_2"}},
		{[]string{"a", "a", "a_1", "a_1"}, []string{"a", "a_2", "a_1", "a_1_1"}},
		{[]string{"a_1", "a", "a"}, []string{"a_1", "a", "a_2"}},
		{[]string{"A", "a", ""}, []string{"A", "a", ""}},
	} {
		columns := make([]Column, len(c.names))
		for i, name := range c.names {
			columns[i].Name = name
		}
		if got := objectKeys(columns); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%q became %q, want %q", c.names, got, c.want)
		}
	}
}
