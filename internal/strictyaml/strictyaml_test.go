package strictyaml

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

func testOptions() Options {
	return Options{MaxBytes: 1 << 16, MaxDepth: 12, MaxValues: 200, Aliases: true}
}

// TestRead prints what is read: each value with its line and form, then the problems. `read plain` follows no aliases.
func TestRead(t *testing.T) {
	datadriven.Walk(t, "testdata/read", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			o := testOptions()
			o.Aliases = !d.HasArg("plain")
			doc := Read([]byte(d.Input), o)
			var out strings.Builder
			if doc.Root != nil {
				write(&out, doc.Root, "", 0)
			}
			for _, p := range doc.Problems {
				fmt.Fprintf(&out, "problem: path %q, line %d: %s\n", p.Path, p.Line, p.Message)
			}
			if !doc.Whole {
				out.WriteString("not whole\n")
			}
			if out.Len() == 0 {
				return "nothing\n"
			}
			return out.String()
		})
	})
}

func write(out *strings.Builder, n *Node, name string, depth int) {
	fmt.Fprintf(out, "%d %s%s%s", n.Line, strings.Repeat("  ", depth), name, n.Kind)
	if n.Kind == Bool || n.Kind == Number || n.Kind == String {
		fmt.Fprintf(out, " %q", n.Text)
	}
	out.WriteByte('\n')
	for _, item := range n.List {
		write(out, item, "- ", depth+1)
	}
	for _, e := range n.Entries {
		write(out, e.Value, e.Key+": ", depth+1)
	}
}

func TestTooLargeTooDeep(t *testing.T) {
	const n = 10_000
	o := testOptions()
	for _, text := range []string{
		strings.Repeat("[", n), strings.Repeat("{a: ", n), strings.Repeat("- ", n), strings.Repeat("? ", n), strings.Repeat("&a ", n),
		strings.Repeat("!a ", n), strings.Repeat("*a ", n), strings.Repeat(`{"a":`, 13) + "1" + strings.Repeat("}", 13),
		"- [" + strings.Repeat("1, ", 200) + "]", "[" + strings.Repeat("1,", 200) + "1]", strings.Repeat(" ", o.MaxBytes+1),
		"a: &a [x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b]\n", "\xff", `{"a": "` + "\xff" + `"}`,
	} {
		if doc := Read([]byte(text), o); doc.Root != nil || doc.Whole || len(doc.Problems) != 1 {
			t.Errorf("read %.60q: %+v", text, doc.Problems)
		}
	}
}

func TestGetAndTrue(t *testing.T) {
	root := Read([]byte("a: TRUE\nb: ~\nc: 'true'\nd: False\n"), testOptions()).Root
	if !root.Get("a").True() || root.Get("b") != nil || root.Get("c").True() || root.Get("d").True() || root.Get("e") != nil {
		t.Errorf("%+v", root)
	}
	if (*Node)(nil).Get("a") != nil {
		t.Error("no object has a field")
	}
}

func TestNamesAreShownShortAndPlain(t *testing.T) {
	for in, want := range map[string]string{
		"topic": "topic", "a\x1b[2J\nb": "a\uFFFD[2J\uFFFDb", strings.Repeat("é", 50): strings.Repeat("é", 40) + "…",
		"x" + strings.Repeat("é", 50): "x" + strings.Repeat("é", 39) + "…",
	} {
		if got := Shown(in); got != want {
			t.Errorf("%q is shown as %q", in, got)
		}
		if got := Join("spec", in); got != "spec."+want || Join("", in) != want {
			t.Errorf("%q is joined as %q", in, got)
		}
	}
}

// FuzzRead: no text ends the process or is read past the limits, what is read means the same written as JSON, and no problem
// shows a value.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"a: &a [1, 0x1f, 1e3, .inf, ~]\nb: *a\n? c\n: |\n  d\n", `{"a": [true, null, 1.5, "x"], "b": {"a": 1}}`, "a: {b: 1, b: 2}\n<<: {}\n",
		"- !!str x\n- ? [k]\n  : v\n", "--- {}\n--- {}\n", "password: [hunter2", "\ufeff# only a comment\n", "a:\n- b\n-  - c\n",
		"&a ~",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := testOptions()
		doc := Read(data, o)
		if values := count(t, doc.Root, 1, o.MaxDepth); values > o.MaxValues {
			t.Fatalf("%d values", values)
		}
		for _, p := range doc.Problems {
			if bytes.Contains(data, []byte("hunter2")) && strings.Contains(p.Message, "hunter2") {
				t.Fatalf("a value is shown: %+v", p)
			}
		}
		if doc.Root == nil || !doc.Whole {
			return
		}
		text := asJSON(t, doc.Root)
		o.MaxBytes, o.MaxValues = len(text), o.MaxValues+1
		again := Read(text, o)
		if again.Root == nil || len(again.Problems) > 0 || !bytes.Equal(asJSON(t, again.Root), text) {
			t.Fatalf("%s\nis read back as problems %+v", text, again.Problems)
		}
	})
}

func count(t *testing.T, n *Node, depth, maxDepth int) int {
	if n == nil {
		return 0
	}
	if depth > maxDepth {
		t.Fatalf("%d levels", depth)
	}
	values := 1
	for _, item := range n.List {
		values += count(t, item, depth+1, maxDepth)
	}
	for _, e := range n.Entries {
		values += 1 + count(t, e.Value, depth+1, maxDepth)
	}
	return values
}

// asJSON writes a tree with every scalar but null as a text.
func asJSON(t *testing.T, n *Node) []byte {
	var out []byte
	switch n.Kind {
	case Null:
		return []byte("null")
	case List:
		for _, item := range n.List {
			out = append(append(out, ','), asJSON(t, item)...)
		}
		return append(append([]byte{'['}, bytes.TrimPrefix(out, []byte(","))...), ']')
	case Map:
		for _, e := range n.Entries {
			out = append(append(append(append(out, ','), quoted(t, e.Key)...), ':'), asJSON(t, e.Value)...)
		}
		return append(append([]byte{'{'}, bytes.TrimPrefix(out, []byte(","))...), '}')
	}
	return quoted(t, n.Text)
}

func quoted(t *testing.T, text string) []byte {
	out, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
