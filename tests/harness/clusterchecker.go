package harness

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"drumlin/tests/oracle"
)

// Question is a query and how the oracle answers it.
type Question struct {
	SQL     string
	Columns []string // of the answer, in the order of the tally's lines
	Tally   func() oracle.Tally
}

// CheckerOptions say who asks what.
type CheckerOptions struct {
	Datasource string
	Questions  []Question
	Clients    []*Node       // each is asked by a client of its own, one query at a time; nil: all that have the role query
	Every      time.Duration // between two questions of a client; 0: askEvery
	Timeout    time.Duration // of one query; 0: askTimeout
}

const (
	askEvery   = 100 * time.Millisecond
	askTimeout = time.Minute
)

// Checker asks all the time, keeps every answer with its cut, and holds each against the oracle at the answer's own cut when
// the log is known.
type Checker struct {
	options CheckerOptions
	stop    context.CancelFunc
	clients []*checkerClient
	all     sync.WaitGroup
	answers atomic.Int64
}

// checkerClient belongs to its goroutine until the checker has stopped.
type checkerClient struct {
	node        *Node
	given       []given
	refusals    map[string]int // by what was said
	refused     int
	unreachable int
	longest     time.Duration // between two answers
}

type given struct {
	question int
	cut      oracle.Cut
	lines    []string
	problem  string // of an answer that could not be read
	at       time.Time
}

// StartChecker begins to ask. The checker is stopped at the test's end.
func (c *Cluster) StartChecker(t testing.TB, o CheckerOptions) *Checker {
	t.Helper()
	if o.Clients == nil {
		o.Clients = c.Nodes(RoleQuery)
	}
	if o.Every == 0 {
		o.Every = askEvery
	}
	if o.Timeout == 0 {
		o.Timeout = askTimeout
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Checker{options: o, stop: stop}
	for _, node := range o.Clients {
		client := &checkerClient{node: node, refusals: map[string]int{}}
		k.clients = append(k.clients, client)
		k.all.Go(func() { client.ask(ctx, o, &k.answers) })
	}
	t.Cleanup(k.end)
	return k
}

func (k *Checker) end() {
	k.stop()
	k.all.Wait()
}

func (c *checkerClient) ask(ctx context.Context, o CheckerOptions, answers *atomic.Int64) {
	last := time.Now()
	defer func() { c.longest = max(c.longest, time.Since(last)) }()
	for i := 0; ctx.Err() == nil; i++ {
		question := i % len(o.Questions)
		limited, cancel := context.WithTimeout(ctx, o.Timeout)
		answer, err := c.node.Ask(limited, o.Questions[question].SQL)
		cancel()
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.unreachable++
		case answer.Status != http.StatusOK:
			c.refused++
			c.refusals[string(answer.Body)]++
		default:
			c.keep(o, question, answer, now)
			c.longest = max(c.longest, now.Sub(last))
			last = now
			answers.Add(1)
		}
		wait(ctx, o.Every)
	}
}

func (c *checkerClient) keep(o CheckerOptions, question int, answer *Answer, at time.Time) {
	g := given{question: question, at: at, lines: oracle.Lines(answer.Rows, o.Questions[question].Columns...)}
	cut, err := answer.offsets(o.Datasource)
	if err != nil {
		g.problem = err.Error()
	}
	g.cut = cut
	if n := len(c.given); n > 0 && slices.Equal(c.given[n-1].lines, g.lines) {
		g.lines = c.given[n-1].lines // one copy while nothing happens
	}
	c.given = append(c.given, g)
}

// WaitAnswers waits until n more answers have come: so much happened meanwhile that a test can go on to its next step.
func (k *Checker) WaitAnswers(t testing.TB, n int64, budget time.Duration) {
	t.Helper()
	want, deadline := k.answers.Load()+n, time.Now().Add(budget)
	for k.answers.Load() < want {
		if time.Now().After(deadline) {
			t.Fatalf("%d answers of %d came within %s", k.answers.Load()-want+n, n, budget)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// firstWords of a refusal tell its kind.
func firstWords(text string) string {
	const most = 400
	if text = strings.TrimSpace(text); len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// mostRefusals is how many kinds of refusals are logged.
const mostRefusals = 6

// Checked says what a checker saw.
type Checked struct {
	Answers     int // each was exact at its cut, and no client's cut went back
	Refused     int // errors of drumlin
	Unreachable int // no answer over HTTP
	Refusals    map[string]int
	Longest     time.Duration // that a client was without an answer
}

func (c Checked) String() string {
	return fmt.Sprintf("%d answers exact, %d refused, %d unreachable, %s without an answer at most",
		c.Answers, c.Refused, c.Unreachable, c.Longest.Round(time.Millisecond))
}

// Stop ends the asking and checks every answer: it must be exact at its own cut, and the cuts of one client must not go back.
// The log must know everything below the cuts: read it after the last answer, or let StopAndCheck do that.
func (k *Checker) Stop(t testing.TB, log *oracle.Log) Checked {
	t.Helper()
	k.end()
	out := Checked{Refusals: map[string]int{}}
	for _, client := range k.clients {
		client.check(t, k.options, log)
		out.Answers += len(client.given)
		out.Refused += client.refused
		out.Unreachable += client.unreachable
		out.Longest = max(out.Longest, client.longest)
		for what, n := range client.refusals {
			out.Refusals[what] += n
		}
	}
	return out
}

// StopAndCheck ends the asking, reads the log of the topics and checks every answer.
func (c *Cluster) StopAndCheck(t testing.TB, k *Checker, log *oracle.Log, topics ...string) Checked {
	t.Helper()
	k.end()
	c.ReadLog(t, log, topics...)
	checked := k.Stop(t, log)
	t.Logf("%s", checked)
	told := 0
	for what, n := range checked.Refusals {
		if told++; told > mostRefusals {
			break
		}
		t.Logf("refused %d times: %s", n, firstWords(what))
	}
	return checked
}

func (c *checkerClient) check(t testing.TB, o CheckerOptions, log *oracle.Log) {
	t.Helper()
	tallies := make([]oracle.Tally, len(o.Questions))
	for i, question := range o.Questions {
		tallies[i] = question.Tally()
	}
	walk := log.Walk(tallies...)
	for i, g := range c.given {
		err := walk.Advance(g.cut)
		switch {
		case g.problem != "":
			t.Errorf("%s: answer %d, at %s: %s", c.node.ID, i, g.at.Format(time.TimeOnly), g.problem)
			return
		case err != nil:
			t.Errorf("%s: answer %d, at %s: %v", c.node.ID, i, g.at.Format(time.TimeOnly), err)
			return
		}
		if want := tallies[g.question].Lines(); !slices.Equal(g.lines, want) {
			t.Errorf("%s: answer %d, at %s, at the cut %v, of %s\n%s", c.node.ID, i, g.at.Format(time.TimeOnly), g.cut,
				o.Questions[g.question].SQL, difference(g.lines, want))
			return
		}
	}
}

// difference shows the first lines that differ.
func difference(got, want []string) string {
	const most = 10
	var out []string
	for _, line := range got {
		if !slices.Contains(want, line) && len(out) < most {
			out = append(out, "  got  "+line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) && len(out) < 2*most {
			out = append(out, "  want "+line)
		}
	}
	return strings.Join(out, "\n")
}

// CheckNow asks every question once and holds the answers against the log, which must know everything below their cuts. The
// answers must reach the ends.
func (c *Cluster) CheckNow(t testing.TB, log *oracle.Log, datasource string, questions ...Question) {
	t.Helper()
	want := fmt.Sprint(log.Ends())
	for _, question := range questions {
		answer := c.SQL(t, question.SQL)
		cut := answer.Offsets(t, datasource)
		if fmt.Sprint(cut) != want {
			t.Errorf("the cut is %v, the log ends at %s", cut, want)
		}
		tally := question.Tally()
		if err := log.Walk(tally).Advance(cut); err != nil {
			t.Errorf("%s: %v", question.SQL, err)
			continue
		}
		if got, want := oracle.Lines(answer.Rows, question.Columns...), tally.Lines(); !slices.Equal(got, want) {
			t.Errorf("%s at the cut %v\n%s", question.SQL, cut, difference(got, want))
		}
	}
}
