package spec

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drumlin/internal/testkit"
)

var rewriteDocs = flag.Bool("rewrite-docs", false, "write the tables of docs/spec.md anew")

// TestDocumentation holds the tables of docs/spec.md to the vocabulary that drives the parser.
func TestDocumentation(t *testing.T) {
	path := filepath.Join(testkit.RepoRoot(t), "docs", "spec.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, v := range vocabularies() {
		text = replaceTable(t, text, v.name, v.fields)
	}
	text = replaceTable(t, text, "properties", KafkaProperties())
	if text == string(data) {
		return
	}
	if !*rewriteDocs {
		t.Fatal("docs/spec.md does not agree with spec.Fields: run go test ./spec -run TestDocumentation -rewrite-docs")
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

type vocabulary struct {
	name   string
	fields []Field
}

func vocabularies() []vocabulary {
	return []vocabulary{
		{"fields", Fields()},
		{"compact", CompactFields()},
		{"kill", KillFields()},
		{"markUnused", MarkUnusedFields()},
		{"autocompaction", AutoCompactionFields()},
		{"rules", RuleFields()},
	}
}

func replaceTable(t *testing.T, text, name string, fields []Field) string {
	begin, end := "<!-- table "+name+" -->\n", "<!-- end of table "+name+" -->\n"
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("docs/spec.md has no table %s", name)
	}
	var b strings.Builder
	b.WriteString("| field | value | class | default | |\n|---|---|---|---|---|\n")
	for _, f := range fields {
		note := strings.ReplaceAll(f.Note, "|", `\|`)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Path, f.Kind, f.Class, f.Default, note)
	}
	return before + begin + b.String() + end + after
}

// TestVocabulary checks the tables themselves.
func TestVocabulary(t *testing.T) {
	for _, v := range vocabularies() {
		t.Run(v.name, func(t *testing.T) { checkVocabulary(t, v.fields) })
	}
}

func checkVocabulary(t *testing.T, fields []Field) {
	objects := map[string]bool{"": true}
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Path] {
			t.Errorf("%s is listed twice", f.Path)
		}
		seen[f.Path] = true
		parent, name := "", f.Path
		if i := strings.LastIndexByte(f.Path, '.'); i >= 0 {
			parent, name = f.Path[:i], f.Path[i+1:]
		}
		if !objects[strings.TrimSuffix(parent, "[]")] || name == "" {
			t.Errorf("%s belongs to no object that is listed before it", f.Path)
		}
		if f.Kind == KindObject || f.Kind == KindList {
			objects[f.Path] = true
		}
		if f.Class != Used && f.Note == "" {
			t.Errorf("%s: no reason is given", f.Path)
		}
	}
}
