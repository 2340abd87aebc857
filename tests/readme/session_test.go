package readme

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

// binary is the built drumlin; TestMain sets it once, before any test.
var binary string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &binary)) }

const (
	commandBudget = 2 * time.Minute  // for one command
	settleBudget  = 40 * time.Second // until an answer is as documented: a table may first read a million records
)

// startServer is the script that starts the server: TestMakeDev runs it.
const startServer = "make dev"

// asking are commands that change nothing: they are asked again until the answer is as documented, as rows become visible
// a moment after they were acknowledged.
var asking = regexp.MustCompile(`^(bin/drumlin (sql|status|segments|topic list|task list|autocompact (explain|status))` +
	`|curl .*(/druid/v2/sql|/status\b))`)

// TestSession runs the README from top to bottom, in a directory that looks like the repository to its commands.
func TestSession(t *testing.T) {
	sections := readme(t)
	s := newSession(t)
	started := false
	for _, sec := range sections {
		if len(sec.blocks) == 0 {
			continue
		}
		t.Run(sec.title, func(t *testing.T) {
			needTools(t, sec)
			for _, b := range sec.blocks {
				switch {
				case b.lang == langText:
				case b.body == startServer:
					started = true
				case !started:
					t.Fatalf("line %d: a command stands before %q", b.line, startServer)
				case b.lang == langScript:
					s.script(t, b)
				default:
					s.console(t, b)
				}
			}
		})
	}
	if !started {
		t.Errorf("README.md has no block %q", startServer)
	}
}

func readme(t *testing.T) []section {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections, err := parse(string(text))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	return sections
}

// needTools skips a section whose programs are not installed. In CI they must be.
func needTools(t *testing.T, sec section) {
	t.Helper()
	for _, tool := range []string{"kcat", "curl"} {
		used := regexp.MustCompile(`(?m)(^|[|] *|\$ )` + tool + ` `)
		for _, b := range sec.blocks {
			if b.lang == langText || !used.MatchString(b.body) {
				continue
			}
			if _, err := exec.LookPath(tool); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not installed; in CI it must be", tool)
				}
				t.Skipf("%s is not installed", tool)
			}
		}
	}
}

// session is a shell of a new user.
type session struct {
	dev *harness.Dev
	dir string
}

func newSession(t *testing.T) *session {
	t.Helper()
	s := &session{dev: harness.Started(t, binary), dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"bin/drumlin": binary, "configs": filepath.Join(testkit.RepoRoot(t), "configs"),
	} {
		if err := os.Symlink(target, filepath.Join(s.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *session) script(t *testing.T, b block) {
	t.Helper()
	if printed, code := s.run(t, "set -e\n"+b.body); code != 0 {
		t.Fatalf("line %d: exit code %d\n%s", b.line, code, printed)
	}
}

func (s *session) console(t *testing.T, b block) {
	t.Helper()
	all, err := steps(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		s.step(t, c)
	}
}

// step runs one command and compares what it prints. A command fails exactly where the document shows its error.
func (s *session) step(t *testing.T, c step) {
	t.Helper()
	mayFail := strings.HasPrefix(c.output, "drumlin: ")
	deadline := time.Now().Add(settleBudget)
	for {
		printed, code := s.run(t, c.command)
		if matches(c.output, printed) && (code != 0) == mayFail {
			return
		}
		if !asking.MatchString(strings.ReplaceAll(c.command, "\n", " ")) || time.Now().After(deadline) {
			t.Fatalf("README.md, line %d: %s\nexit code %d, it printed:\n%s\ndocumented is:\n%s",
				c.line, c.command, code, printed, c.output)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// run runs a command against this session's ports and returns what it prints, with the documented ports in it.
func (s *session) run(t *testing.T, command string) (printed string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandBudget)
	defer cancel()
	here := strings.NewReplacer(documentedHTTP, s.dev.HTTP, documentedKafka, s.dev.Kafka)
	there := strings.NewReplacer(s.dev.HTTP, documentedHTTP, s.dev.Kafka, documentedKafka)
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", here.Replace(command))
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "DRUMLIN_SERVER=http://"+s.dev.HTTP, "DRUMLIN_BROKERS="+s.dev.Kafka)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("run %s: %v\n%s", command, errors.Join(err, ctx.Err()), out.String())
	}
	return there.Replace(out.String()), cmd.ProcessState.ExitCode()
}
