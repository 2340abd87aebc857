package readme

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"drumlin/internal/testkit"
)

// documents are the pages that people read, from the repository's root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	root := testkit.RepoRoot(t)
	out := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.ToSlash(name)] = string(text)
		}
	}
	if out["README.md"] == "" || out["CONTRIBUTING.md"] == "" {
		t.Fatal("README.md or CONTRIBUTING.md is missing or empty")
	}
	return out
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noWord  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// TestLinksResolve follows every link that stays within the repository, and to headings.
func TestLinksResolve(t *testing.T) {
	all := documents(t)
	for name, text := range all {
		for _, found := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			page := name
			if target != "" {
				page = filepath.ToSlash(filepath.Join(filepath.Dir(name), target))
			}
			if _, err := os.Stat(filepath.Join(testkit.RepoRoot(t), page)); err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", name, found[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(all[page]), anchor) {
				t.Errorf("%s: %s has no heading %s", name, page, anchor)
			}
		}
	}
}

// anchors are the names that a page's headings have in links.
func anchors(text string) []string {
	var out []string
	for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.ReplaceAll(noWord.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return out
}

var (
	command = regexp.MustCompile(`(?m)(?:^ *|bin/|[` + "`" + `|;$(] *)drumlin ([a-z]+)([^` + "`|\n" + `]*)`) // not the word in others' commands
	flag    = regexp.MustCompile(`--[a-z][a-z-]*`)
	verbs   = regexp.MustCompile(`(?m)^  ([a-z]+) +[A-Z]`)
	code    = regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]+`")
)

// TestVerbsAndFlagsExist holds every command in the documents' code against the help of the binary.
func TestVerbsAndFlagsExist(t *testing.T) {
	helps := map[string]string{}
	for _, m := range verbs.FindAllStringSubmatch(rootHelp(t), -1) {
		helps[m[1]] = helpOf(t, m[1])
	}
	if len(helps) < 10 {
		t.Fatalf("the binary's help lists only %v", slices.Sorted(maps.Keys(helps)))
	}
	for verb, help := range helps {
		if _, subs, ok := strings.Cut(help, "\nAvailable Commands:\n"); ok && verb != "completion" {
			for _, sub := range verbs.FindAllStringSubmatch(subs, -1) {
				helps[verb] += helpOf(t, verb+" "+sub[1])
			}
		}
	}
	all := documents(t)
	for name, text := range all {
		for _, span := range code.FindAllString(text, -1) {
			for _, found := range command.FindAllStringSubmatch(span, -1) {
				verb := found[1]
				help, ok := helps[verb]
				if !ok {
					t.Errorf("%s: there is no command drumlin %s", name, verb)
					continue
				}
				for _, f := range flag.FindAllString(found[2], -1) {
					if !strings.Contains(help, f+" ") {
						t.Errorf("%s: drumlin %s has no flag %s", name, verb, f)
					}
				}
			}
		}
	}
	for verb := range helps {
		if verb != "help" && verb != "completion" && !strings.Contains(all["README.md"], "`drumlin "+verb) {
			t.Errorf("README.md does not list drumlin %s", verb)
		}
	}
	everything := strings.Join(slices.Collect(maps.Values(helps)), "\n")
	for _, line := range strings.Split(all["README.md"], "\n") {
		for _, span := range code.FindAllString(line, -1) {
			if f := flag.FindString(span); strings.HasPrefix(span, "`--") && !strings.Contains(everything, f+" ") {
				t.Errorf("README.md: no command has the flag %s", f)
			}
		}
	}
}

func rootHelp(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(binary, "--help").Output()
	if err != nil {
		t.Fatalf("drumlin --help: %v", err)
	}
	return string(out)
}

var (
	makeTarget = regexp.MustCompile("(?:^|[` ])make ([a-z0-9-]+)")
	pathName   = regexp.MustCompile("`([a-zA-Z.][\\w-][\\w.-]*/[\\w./-]*[\\w/])`")
)

// TestTargetsAndPathsExist holds what README.md and CONTRIBUTING.md say of make and of files against the repository.
func TestTargetsAndPathsExist(t *testing.T) {
	root := testkit.RepoRoot(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	all := documents(t)
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		for _, span := range code.FindAllString(all[name], -1) {
			for _, found := range makeTarget.FindAllStringSubmatch(strings.ReplaceAll(span, "\n", " "), -1) {
				if !regexp.MustCompile(`(?m)^` + found[1] + `:`).Match(makefile) {
					t.Errorf("%s: the Makefile has no target %s", name, found[1])
				}
			}
		}
	}
	for _, found := range pathName.FindAllStringSubmatch(all["CONTRIBUTING.md"], -1) {
		if _, err := os.Stat(filepath.Join(root, found[1])); err != nil {
			t.Errorf("CONTRIBUTING.md names %s, which is not there", found[1])
		}
	}
}
