package readme

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"drumlin/internal/testkit"
	"drumlin/tests/harness"
)

// binary is the built drumlin; TestMain sets it once, before any test.
var binary string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &binary)) }

const (
	commandBudget = 5 * time.Minute  // for one command
	killBudget    = 30 * time.Second // until a script's shell has killed what it started
	settleBudget  = 2 * time.Minute  // until an answer is as documented: a table may first read a million records
)

// startServer is the script that starts the server: TestMakeDev runs it.
const startServer = "make dev"

// asking are commands that change nothing: they are asked again until the answer is as documented, as rows become visible
// a moment after they were acknowledged.
var asking = regexp.MustCompile(`^(bin/drumlin (sql|status|health|segments|topic list|task list|autocompact (explain|status))` +
	`|curl .*(/druid/v2/sql|/status\b))`)

// TestSession runs the README from top to bottom, in a directory that looks like the repository to its commands.
func TestSession(t *testing.T) {
	sections := readme(t)
	s := newSession(t, sections)
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
	for _, part := range []string{"etcd", "versitygw"} {
		for _, b := range sec.blocks {
			if b.lang == langScript && strings.Contains(b.body, "bin/parts/"+part+" ") {
				testkit.Part(t, part)
			}
		}
	}
	for _, tool := range []string{"kcat", "curl", "openssl"} {
		used := regexp.MustCompile(`(?m)(^|[|] *|\$ |\$\()` + tool + ` `)
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

// session is what a new user does, in a directory of his own.
type session struct {
	t           *testing.T // the whole session's
	dir         string
	env         []string
	here, there *strings.Replacer // documented addresses to those of this run, and back
}

func newSession(t *testing.T, all []section) *session {
	t.Helper()
	dev := harness.Started(t, binary)
	s := &session{t: t, dir: t.TempDir(), env: append(os.Environ(), "DRUMLIN_SERVER=http://"+dev.HTTP, "DRUMLIN_BROKERS="+dev.Kafka)}
	s.here, s.there = addresses(t, all, dev)
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"bin/drumlin": binary, "configs": filepath.Join(testkit.RepoRoot(t), "configs"),
		"bin/parts": cmp.Or(os.Getenv("DRUMLIN_PARTS"), filepath.Join(testkit.RepoRoot(t), "bin", "parts")),
	} {
		if err := os.Symlink(target, filepath.Join(s.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

var loopback = regexp.MustCompile(`\b127\.0\.0\.1:[1-9][0-9]*`)

// addresses gives every address in the document one that is free here.
func addresses(t *testing.T, all []section, dev *harness.Dev) (here, there *strings.Replacer) {
	t.Helper()
	free := map[string]string{documentedHTTP: dev.HTTP, documentedKafka: dev.Kafka}
	for _, sec := range all {
		for _, b := range sec.blocks {
			for _, address := range loopback.FindAllString(b.body, -1) {
				if free[address] == "" && b.lang != langText {
					free[address] = testkit.FreeAddress(t)
				}
			}
		}
	}
	var forth, back []string
	for documented, actual := range free {
		forth, back = append(forth, documented, actual), append(back, actual, documented)
	}
	return strings.NewReplacer(forth...), strings.NewReplacer(back...)
}

// exported holds the variables and functions of the scripts that have run, for what comes after them in the same terminal.
const exported = "exported"

// stays is printed by a script's shell that has done its work and stays, since it has left processes running.
const stays = "stays-for-its-processes"

// script runs a block as its reader's terminal does: what it exports holds for later blocks, and what it starts in the
// background goes on until it ends, or the test does.
func (s *session) script(t *testing.T, b block) {
	t.Helper()
	cmd := s.shell(context.Background(), "trap 'kill -9 $(jobs -p); wait; exit 1' TERM; set -e\n"+b.body+
		"\n{ export -p; declare -f; } > "+exported+`; if [ -n "$(jobs -p)" ]; then echo `+stays+"; wait; fi")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	log, err := os.Create(filepath.Join(s.dir, fmt.Sprintf("script-%d.log", b.line)))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // ProcessState tells
		close(ended)
	}()
	end := func() { // what has gone needs no signal
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(killBudget):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	deadline := time.After(commandBudget)
	for {
		select {
		case <-ended:
			if !cmd.ProcessState.Success() {
				t.Fatalf("README.md, line %d: %s\n%s", b.line, cmd.ProcessState, readLog(t, log.Name()))
			}
			return
		case <-deadline:
			end()
			t.Fatalf("README.md, line %d: the script still runs after %s\n%s", b.line, commandBudget, readLog(t, log.Name()))
		case <-time.After(5 * time.Millisecond):
			if strings.Contains(readLog(t, log.Name()), stays) {
				s.t.Cleanup(end)
				return
			}
		}
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
	cmd := s.shell(ctx, command)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("run %s: %v\n%s", command, errors.Join(err, ctx.Err()), out.String())
	}
	return s.there.Replace(out.String()), cmd.ProcessState.ExitCode()
}

// shell is a command in the session's directory, with this run's addresses and what earlier scripts have exported.
func (s *session) shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c",
		"if [ -e "+exported+" ]; then . ./"+exported+"; fi\n"+s.here.Replace(command))
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}
