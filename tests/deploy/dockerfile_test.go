package deploy

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"drumlin/internal/testkit"
)

// image is what a Dockerfile says, as far as it is checked here.
type image struct {
	stages      []string // names, in their order; "" without a name
	copies      []copied
	user        string // of the last stage
	workdir     string
	exposed     []string
	healthCheck []string
	entrypoint  []string
	command     []string
}

type copied struct {
	from    string // a stage; empty: the build's context
	sources []string
	target  string
}

// dockerfile reads the Dockerfile. Instructions that it does not know end the test.
func dockerfile(t *testing.T) image {
	t.Helper()
	var out image
	for _, line := range logicalLines(string(repoFile(t, "Dockerfile"))) {
		name, rest, _ := strings.Cut(line, " ")
		words := strings.Fields(rest)
		switch name {
		case "FROM":
			stage := ""
			if len(words) == 3 && words[1] == "AS" {
				stage = words[2]
			} else if len(words) != 1 {
				t.Fatalf("%s", line)
			}
			if !strings.Contains(words[0], ":") || strings.HasSuffix(words[0], ":latest") {
				t.Errorf("%s names no version", line)
			}
			out.stages, out.user = append(out.stages, stage), ""
		case "COPY":
			c := copied{}
			if from, ok := strings.CutPrefix(words[0], "--from="); ok {
				c.from, words = from, words[1:]
			}
			c.sources, c.target = words[:len(words)-1], words[len(words)-1]
			out.copies = append(out.copies, c)
		case "USER":
			out.user = rest
		case "WORKDIR":
			out.workdir = rest
		case "EXPOSE":
			out.exposed = words
		case "HEALTHCHECK":
			_, check, ok := strings.Cut(rest, " CMD ")
			if !ok {
				t.Fatalf("%s", line)
			}
			out.healthCheck = jsonList(t, check)
		case "ENTRYPOINT":
			out.entrypoint = jsonList(t, rest)
		case "CMD":
			out.command = jsonList(t, rest)
		case "RUN", "ARG", "ENV":
		default:
			t.Fatalf("there is no instruction %s", name)
		}
	}
	return out
}

// logicalLines joins continued lines and leaves out comments.
func logicalLines(text string) []string {
	var out []string
	var open strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		before, continued := strings.CutSuffix(line, "\\")
		open.WriteString(strings.TrimSpace(before))
		if continued {
			open.WriteByte(' ')
			continue
		}
		out = append(out, open.String())
		open.Reset()
	}
	return out
}

func jsonList(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	if err := json.Unmarshal([]byte(text), &out); err != nil || len(out) == 0 {
		t.Fatalf("%s is not a list of words: %v", text, err)
	}
	return out
}

func TestDockerfile(t *testing.T) {
	d := dockerfile(t)
	root := testkit.RepoRoot(t)
	for _, c := range d.copies {
		if c.from != "" && !slices.Contains(d.stages, c.from) {
			t.Errorf("COPY --from=%s: there is no such stage", c.from)
		}
		for _, source := range c.sources {
			if c.from != "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, source)); err != nil {
				t.Error(err)
			}
			if ignoredByDocker(t, source) {
				t.Errorf("COPY %s: .dockerignore leaves it out", source)
			}
		}
	}
	uid, _, _ := strings.Cut(d.user, ":")
	if uid == "" || uid == "0" || uid == "root" {
		t.Errorf("the image runs as %q", d.user)
	}
	if !slices.Equal(d.entrypoint, []string{"drumlin"}) || !slices.Equal(d.command, []string{"server"}) {
		t.Errorf("the image runs %q %q", d.entrypoint, d.command)
	}
	if !slices.Equal(d.exposed, []string{"8888", "8889"}) {
		t.Errorf("the image exposes %q", d.exposed)
	}
	for _, v := range project(t).Services["query"].Volumes {
		if v.Target != d.workdir {
			t.Errorf("the volume at %s is not the directory that the image's user owns, %s", v.Target, d.workdir)
		}
	}
}

// TestTheImageIsBuiltFromAllSources: every package of the program is in the build's context, and no secrets are.
func TestTheImageIsBuiltFromAllSources(t *testing.T) {
	root := testkit.RepoRoot(t)
	stdout, stderr, code := run(t, append(os.Environ(), "GOFLAGS=-mod=mod"), "go", "-C", root, "list", "-deps", "-f", "{{if not .Standard}}{{.Dir}}{{end}}", "./cmd/drumlin")
	if code != 0 {
		t.Fatal(stderr)
	}
	packages := 0
	for dir := range strings.FieldsSeq(stdout) {
		rel, err := filepath.Rel(root, dir)
		if err != nil || strings.HasPrefix(rel, "..") {
			continue
		}
		packages++
		if ignoredByDocker(t, filepath.ToSlash(rel)) {
			t.Errorf(".dockerignore leaves out %s, which the program is made of", rel)
		}
	}
	if packages < 10 {
		t.Errorf("the program has %d packages", packages)
	}
	for _, secret := range []string{".env", ".env.local", ".git", "drumlin-data"} {
		if !ignoredByDocker(t, secret) {
			t.Errorf(".dockerignore lets %s into the image", secret)
		}
	}
}

// ignoredByDocker says whether .dockerignore leaves out a path or a directory above it.
func ignoredByDocker(t *testing.T, name string) bool {
	t.Helper()
	for pattern := range strings.SplitSeq(string(repoFile(t, ".dockerignore")), "\n") {
		if pattern = strings.TrimSpace(pattern); pattern == "" || strings.HasPrefix(pattern, "#") {
			continue
		}
		for dir := name; dir != "." && dir != "/"; dir = path.Dir(dir) {
			matched, err := path.Match(pattern, dir)
			if err != nil {
				t.Fatal(err)
			}
			if matched {
				return true
			}
		}
	}
	return false
}
