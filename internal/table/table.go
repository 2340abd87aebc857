package table

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Column is one column of a table.
type Column struct {
	Name  string
	Right bool // aligned to the right, as numbers are
}

// Table is a heading and rows of cells. A row shorter than the heading is filled up with empty cells.
type Table struct {
	Columns []Column
	Rows    [][]string
}

const (
	gap           = "  " // between columns
	minShownCells = 8    // a column is never narrowed below this many terminal cells
	ellipsis      = "…"
)

// Write draws the table. Where maxWidth is positive the widest columns are narrowed until a line fits into so many
// terminal cells, or no column can be narrowed further.
func (t *Table) Write(w io.Writer, maxWidth int) error {
	head := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = Safe(c.Name)
	}
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		if len(row) > len(head) {
			return fmt.Errorf("row %d has %d cells, the table has %d columns", i, len(row), len(head))
		}
		rows[i] = make([]string, len(head))
		for j, cell := range row {
			rows[i][j] = Safe(cell)
		}
	}
	widths := measure(head, rows)
	narrow(widths, maxWidth)
	var out strings.Builder
	t.line(&out, head, widths)
	for i, width := range widths {
		if i > 0 {
			out.WriteString(gap)
		}
		out.WriteString(strings.Repeat("─", width))
	}
	out.WriteByte('\n')
	for _, row := range rows {
		t.line(&out, row, widths)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func measure(head []string, rows [][]string) []int {
	widths := make([]int, len(head))
	for i, name := range head {
		widths[i] = uniseg.StringWidth(name)
	}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	return widths
}

// narrow takes from the widest column, cell by cell, until the line fits.
func narrow(widths []int, maxWidth int) {
	if maxWidth <= 0 || len(widths) == 0 {
		return
	}
	total := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for total > maxWidth {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		// Down to the second widest at once, so that one huge cell does not cost a step for each of its letters.
		second := minShownCells
		for i, w := range widths {
			if i != widest && w > second {
				second = w
			}
		}
		if widths[widest] <= minShownCells {
			return
		}
		cut := min(total-maxWidth, max(1, widths[widest]-second))
		cut = min(cut, widths[widest]-minShownCells)
		widths[widest] -= cut
		total -= cut
	}
}

// line writes one line without blanks at its end.
func (t *Table) line(out *strings.Builder, cells []string, widths []int) {
	var line strings.Builder
	for i, cell := range cells {
		if i > 0 {
			line.WriteString(gap)
		}
		text := truncate(cell, widths[i])
		fill := strings.Repeat(" ", max(0, widths[i]-uniseg.StringWidth(text)))
		if t.Columns[i].Right {
			line.WriteString(fill + text)
		} else {
			line.WriteString(text + fill)
		}
	}
	out.WriteString(strings.TrimRight(line.String(), " "))
	out.WriteByte('\n')
}

// truncate shortens the text to so many terminal cells, ending it in an ellipsis where something is left out.
func truncate(s string, cells int) string {
	if uniseg.StringWidth(s) <= cells {
		return s
	}
	if cells <= 0 {
		return ""
	}
	var out strings.Builder
	used, state := 0, -1
	for s != "" {
		cluster, rest, width, next := uniseg.FirstGraphemeClusterInString(s, state)
		if used+width > cells-1 {
			break
		}
		out.WriteString(cluster)
		used += width
		s, state = rest, next
	}
	return out.String() + ellipsis
}

// Safe shows line ends, tabs, other control characters, characters that change the direction of text, and bytes that
// are no UTF-8 as escapes.
func Safe(s string) string {
	if plain(s) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, s[i])
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case hidden(r):
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
		i += size
	}
	return out.String()
}

func plain(s string) bool {
	for i, r := range s {
		if hidden(r) {
			return false
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return false
			}
		}
	}
	return true
}

// hidden are control characters, line separators and direction overrides.
func hidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || '\u202A' <= r && r <= '\u202E' ||
		'\u2066' <= r && r <= '\u2069'
}
