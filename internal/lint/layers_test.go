package lint

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"drumlin/internal/testkit"
)

// layers lists the packages from the lowest up. A package may import packages of lower layers, and packages below its own
// directory. Packages of one layer do not know each other.
var layers = [][]string{
	{"spec"},
	{"segment"},
	{"objectstore", "catalog", "duckdb"},
	{"rollup"},
	{"indexer"},
	{"consumer", "query", "compaction"},
	{"peer"},
	{"coordinator"},
	{"api"},
	{"internal/cli"},
	{"internal/app"},
	{"cmd/drumlin"},
}

// helpers may be imported by every layer, and import nothing of them but each other.
var helpers = []string{
	"internal/failpoint", "internal/progress", "internal/table", "internal/ndjson", "internal/generate",
	"internal/producer", "internal/devbroker", "internal/devetcd", "internal/kafkaprops", "internal/secure", "internal/config",
	"internal/nearest", "internal/strictyaml", "internal/retrying",
}

// testOnly may be imported by tests alone.
var testOnly = []string{"internal/testkit", "internal/lint", "tests"}

// doors name, for a library, the only packages that may import it outside tests.
var doors = map[string][]string{
	"go.etcd.io/etcd/client":                      {"catalog", "coordinator"},
	"go.etcd.io/etcd/server":                      {"internal/devetcd"},
	"github.com/twmb/franz-go":                    {"consumer", "internal/producer", "internal/devbroker", "internal/kafkaprops"},
	"github.com/apache/arrow-go/v18/arrow/flight": {"peer"},
	"google.golang.org/grpc":                      {"peer", "catalog"},
	"github.com/duckdb":                           {"duckdb"},
	"github.com/spf13/cobra":                      {"internal/cli", "cmd/drumlin"},
	"github.com/aws":                              {"objectstore"},
	"github.com/goccy/go-yaml":                    {"internal/strictyaml"},
	"github.com/oklog/run":                        {"internal/app"},
	"github.com/axiomhq/hyperloglog":              {"rollup"},
	"github.com/DataDog/sketches-go":              {"rollup"},
	"github.com/gofrs/flock":                      {"internal/app"},
	"github.com/schollz/progressbar":              {"internal/progress"},
}

type file struct {
	path    string // from the repository's root
	pkg     string // directory from the root
	imports []string
	test    bool
}

func TestImportsGoStrictlyDownward(t *testing.T) {
	for _, f := range sources(t) {
		if f.test || within(f.pkg, testOnly...) {
			continue
		}
		from := layerOf(f.pkg)
		if from < 0 && !within(f.pkg, helpers...) {
			t.Errorf("%s: package %s has no place in the list of layers", f.path, f.pkg)
			continue
		}
		for _, imported := range f.imports {
			target, ours := strings.CutPrefix(imported, "drumlin/")
			if !ours {
				continue
			}
			switch {
			case within(target, testOnly...):
				t.Errorf("%s imports %s, which is for tests only", f.path, target)
			case within(target, helpers...):
			case from < 0:
				t.Errorf("%s: the helper %s imports %s", f.path, f.pkg, target)
			case layerOf(target) < 0:
				t.Errorf("%s imports %s, which has no place in the list of layers", f.path, target)
			case layerOf(target) > from, layerOf(target) == from && top(target) != top(f.pkg):
				t.Errorf("%s imports %s: imports go strictly downward", f.path, target)
			}
		}
	}
}

func TestLibrariesHaveOneDoor(t *testing.T) {
	for _, f := range sources(t) {
		if f.test || within(f.pkg, testOnly...) {
			continue
		}
		for _, imported := range f.imports {
			for library, allowed := range doors {
				if (imported == library || strings.HasPrefix(imported, library)) && !within(f.pkg, allowed...) {
					t.Errorf("%s imports %s, which only %v may", f.path, imported, allowed)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	packages := map[string]bool{}
	for _, f := range sources(t) {
		documented := packages[f.pkg]
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(testkit.RepoRoot(t), f.path), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		packages[f.pkg] = documented || !f.test && parsed.Doc != nil
	}
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		if !packages[pkg] && pkg != "tests" && !strings.HasPrefix(pkg, "tests/") {
			t.Errorf("package %s has no package comment: open it with a doc.go", pkg)
		}
	}
}

func layerOf(pkg string) int {
	return slices.IndexFunc(layers, func(names []string) bool { return within(pkg, names...) })
}

// top is the first directory of a package that the layers name: consumer of consumer/decode.
func top(pkg string) string {
	for _, names := range layers {
		for _, name := range names {
			if within(pkg, name) {
				return name
			}
		}
	}
	return pkg
}

func within(pkg string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") })
}

func sources(t *testing.T) []file {
	t.Helper()
	root := testkit.RepoRoot(t)
	var out []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel), test: strings.HasSuffix(name, "_test.go")}
		f.pkg = path.Dir(f.path)
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no source files found")
	}
	return out
}
