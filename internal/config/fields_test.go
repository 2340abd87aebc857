package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"drumlin/internal/strictyaml"
	"drumlin/internal/testkit"
)

var rewriteDocs = flag.Bool("rewrite-docs", false, "write docs/config.md and configs/server.yaml anew")

// TestEveryFieldIsDescribed: the table of notes and the structs have the same paths in the same order.
func TestEveryFieldIsDescribed(t *testing.T) {
	server := Default()
	var want []string
	var walk func(section reflect.Value, path string)
	walk = func(section reflect.Value, path string) {
		for _, s := range slots(section) {
			full := strictyaml.Join(path, s.name)
			want = append(want, full)
			if s.section.IsValid() {
				walk(s.section, full)
			}
			if _, ok := s.field.(*[]Token); ok {
				walk(reflect.ValueOf(&Token{}).Elem(), full+"[]")
			}
		}
	}
	walk(reflect.ValueOf(&server).Elem(), "")
	var got []string
	for _, f := range Fields() {
		got = append(got, f.Path)
		if f.Note == "" || !strings.HasSuffix(f.Note, ".") {
			t.Errorf("%s: the note %q is no sentence", f.Path, f.Note)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the notes are of\n%s\nand the fields are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const docHead = `# Configuration of a server

` + "`drumlin server --config FILE`" + ` reads a YAML file over the defaults below. Every field may be left out; a field that does not exist
is refused, with the nearest one that does; all problems are reported at once. ` + "`drumlin config`" + ` prints every field with its default,
` + "`drumlin config --config FILE`" + ` what a file makes of them (secrets hidden), and ` + "`drumlin config check FILE`" + ` only what is wrong.

- ` + "`${NAME}`" + ` in a value is replaced by that environment variable; a variable that is not set is a problem. ` + "`$${`" + ` stands for
  ` + "`${`" + ` itself. Put secrets there.
- Sizes are bytes, or ` + "`64KiB`, `512MiB`, `2GiB`" + `. Times are ` + "`30s`, `5m`, `1h30m`" + `. A list may be one text with commas.
- ` + "`--set PATH=VALUE`" + ` overrides one field, such as ` + "`--set query.threads=2`" + `. Secrets are not taken from the command line.
- Which connections are protected how is in ` + "`security.md`" + `; a whole cluster is in ` + "`deploy.md`" + `.

| field | default | |
|---|---|---|
`

// TestDocumentation holds docs/config.md and configs/server.yaml to the table and the defaults.
func TestDocumentation(t *testing.T) {
	root := testkit.RepoRoot(t)
	defaults := Default()
	values := map[string]string{}
	var walk func(section reflect.Value, path string)
	walk = func(section reflect.Value, path string) {
		for _, s := range slots(section) {
			if s.section.IsValid() {
				walk(s.section, strictyaml.Join(path, s.name))
				continue
			}
			if text := valueText(s.field); text != `""` {
				values[strictyaml.Join(path, s.name)] = "`" + strings.Trim(text, `"`) + "`"
			}
		}
	}
	walk(reflect.ValueOf(&defaults).Elem(), "")
	var doc strings.Builder
	doc.WriteString(docHead)
	for _, f := range Fields() {
		fmt.Fprintf(&doc, "| `%s` | %s | %s |\n", f.Path, values[f.Path], f.Note)
	}
	var printed strings.Builder
	printed.WriteString("# Every field of a server with its default, as `drumlin config` prints them. Leave out what suits you.\n\n")
	if err := Print(&printed, defaults); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"docs/config.md": doc.String(), "configs/server.yaml": printed.String()} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if *rewriteDocs {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(data) != want {
			t.Errorf("%s does not agree with config.Fields and config.Default: run go test ./internal/config -run TestDocumentation -rewrite-docs", name)
		}
	}
}
