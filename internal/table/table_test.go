package table

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

func draw(t *testing.T, tab *Table, width int) string {
	t.Helper()
	var out bytes.Buffer
	if err := tab.Write(&out, width); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	want = strings.TrimPrefix(want, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWriteAlignsNumbersRightAndWideTextByItsCells(t *testing.T) {
	tab := &Table{
		Columns: []Column{{Name: "channel"}, {Name: "edits", Right: true}},
		Rows:    [][]string{{"#en.wikipedia", "11549"}, {"日本語", "7"}, {"NULL", "NULL"}, {"short"}},
	}
	expect(t, draw(t, tab, 0), `
channel        edits
─────────────  ─────
#en.wikipedia  11549
日本語             7
NULL            NULL
short
`)
}

func TestWriteNarrowsTheWidestColumns(t *testing.T) {
	tab := &Table{
		Columns: []Column{{Name: "id"}, {Name: "comment"}, {Name: "n", Right: true}},
		Rows:    [][]string{{"a", "a long comment that cannot fit here", "1"}, {"b", "short", "22"}},
	}
	expect(t, draw(t, tab, 24), `
id  comment            n
──  ────────────────  ──
a   a long comment …   1
b   short             22
`)
}

func TestWriteEscapesWhatCouldDriveATerminal(t *testing.T) {
	tab := &Table{Columns: []Column{{Name: "x"}}, Rows: [][]string{{"a\nb\t\x1b[31m\u202e"}, {"\xff"}, {"\uFFFD"}}}
	expect(t, draw(t, tab, 0), `
x
──────────────────────
a\nb\t\u001b[31m\u202e
\xff
`+"\uFFFD\n")
}

func TestWriteRefusesRowsThatAreTooLong(t *testing.T) {
	tab := &Table{Columns: []Column{{Name: "x"}}, Rows: [][]string{{"1", "2"}}}
	if err := tab.Write(&bytes.Buffer{}, 0); err == nil {
		t.Fatal("a row with more cells than columns was drawn")
	}
}

func TestLinesNeverExceedTheWidthTheyCanFit(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	letters := []rune("abc 日本é👩‍👩‍👧\n\x1b")
	for range 500 {
		tab := &Table{}
		columns := 1 + rnd.IntN(6)
		for range columns {
			tab.Columns = append(tab.Columns, Column{Name: word(rnd, letters), Right: rnd.IntN(2) == 0})
		}
		for range rnd.IntN(5) {
			var row []string
			for range columns {
				row = append(row, word(rnd, letters))
			}
			tab.Rows = append(tab.Rows, row)
		}
		limit := columns*minShownCells + (columns-1)*len(gap) + rnd.IntN(40)
		for line := range strings.Lines(draw(t, tab, limit)) {
			if w := uniseg.StringWidth(strings.TrimSuffix(line, "\n")); w > limit {
				t.Fatalf("a line of %d cells where %d were asked for: %q", w, limit, line)
			}
		}
	}
}

func word(rnd *rand.Rand, letters []rune) string {
	var out strings.Builder
	for range rnd.IntN(60) {
		out.WriteRune(letters[rnd.IntN(len(letters))])
	}
	return out.String()
}

func FuzzSafe(f *testing.F) {
	f.Add("a\x1b[0m\u202e\xff\n")
	f.Fuzz(func(t *testing.T, s string) {
		safe := Safe(s)
		for _, r := range safe {
			if hidden(r) {
				t.Fatalf("%q still holds %q", safe, r)
			}
		}
		if Safe(safe) != safe {
			t.Fatalf("%q is not final", safe)
		}
		for _, cells := range []int{0, 1, 5} {
			if short := truncate(safe, cells); uniseg.StringWidth(short) > cells {
				t.Fatalf("%q takes more than %d cells", short, cells)
			}
		}
	})
}
