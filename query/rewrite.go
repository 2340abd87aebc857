package query

import (
	"sort"
	"strings"
)

// internalPrefix begins the name of every temporary view and table that a query makes. Users cannot name them: a
// statement is admitted twice, as it was sent and as it is run.
const internalPrefix = "__drumlin_"

type edit struct {
	from, to int
	text     string
}

// rewrite puts the internal names in the place of the tables' names, and those of our sketch functions in the place of
// DuckDB's. Only the names change, so that the positions in
// DuckDB's messages stay near those that the user wrote.
func rewrite(sql string, a *admitted, internal map[string]string) (string, *Error) {
	var edits []edit
	for _, m := range a.mentions {
		end, ok := skipQualifiedName(sql, m.ref.location)
		if !ok {
			return "", newError(Invalid, "write the name in double quotes", "table %s: its name cannot be found in the query", m.ref.name)
		}
		text := quoteName(internal[m.table])
		if m.ref.alias == "" {
			text += " AS " + quoteName(m.ref.name)
		}
		edits = append(edits, edit{m.ref.location, end, text})
	}
	for _, at := range a.qualified {
		start, ok := skipFirstName(sql, at)
		if !ok {
			return "", newError(Invalid, "write table.column", "a column written with its schema cannot be found in the query")
		}
		edits = append(edits, edit{at, start, ""})
	}
	for _, c := range a.sketches {
		e, err := c.edit(sql)
		if err != nil {
			return "", err
		}
		edits = append(edits, e)
	}
	sort.Slice(edits, func(i, j int) bool { return edits[i].from < edits[j].from })
	var b strings.Builder
	done := 0
	for _, e := range edits {
		if e.from < done {
			return "", newError(Invalid, "give every table an alias", "the query's table names overlap")
		}
		b.WriteString(sql[done:e.from])
		b.WriteString(e.text)
		done = e.to
	}
	b.WriteString(sql[done:])
	return b.String(), nil
}

// withLimit appends a LIMIT to a statement that has none. The line break ends a comment that the statement may end in.
func withLimit(sql string, limit string) string {
	return strings.TrimRight(sql, "; \t\r\n") + "\nLIMIT " + limit
}

// skipQualifiedName returns the end of name(.name)* at the offset.
func skipQualifiedName(sql string, at int) (int, bool) {
	at, ok := skipName(sql, at)
	for ok {
		dot := skipSpace(sql, at)
		if dot >= len(sql) || sql[dot] != '.' {
			return at, true
		}
		at, ok = skipName(sql, skipSpace(sql, dot+1))
	}
	return 0, false
}

// skipFirstName returns the start of what follows "name." at the offset.
func skipFirstName(sql string, at int) (int, bool) {
	at, ok := skipName(sql, at)
	if !ok {
		return 0, false
	}
	dot := skipSpace(sql, at)
	if dot >= len(sql) || sql[dot] != '.' {
		return 0, false
	}
	return skipSpace(sql, dot+1), true
}

func skipSpace(sql string, at int) int {
	for at < len(sql) && strings.IndexByte(" \t\r\n\f\v", sql[at]) >= 0 {
		at++
	}
	return at
}

func skipName(sql string, at int) (int, bool) {
	if at < 0 || at >= len(sql) {
		return 0, false
	}
	if sql[at] == '"' {
		for i := at + 1; i < len(sql); i++ {
			if sql[i] != '"' {
				continue
			}
			if i+1 < len(sql) && sql[i+1] == '"' {
				i++
				continue
			}
			return i + 1, true
		}
		return 0, false
	}
	end := at
	for end < len(sql) && isNameByte(sql[end]) {
		end++
	}
	return end, end > at
}

func isNameByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// quoteName renders an identifier.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteText renders a string literal.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
