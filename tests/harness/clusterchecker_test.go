package harness

import (
	"fmt"
	"testing"
	"time"

	"drumlin/tests/oracle"
)

// listener counts what a check finds wrong.
type listener struct {
	testing.TB
	errors int
}

func (l *listener) Helper()               {}
func (l *listener) Errorf(string, ...any) { l.errors++ }

// TestTheCheckerFindsWhatIsWrong gives it exact answers, then spoils one in each way.
func TestTheCheckerFindsWhatIsWrong(t *testing.T) {
	log := oracle.NewLog(oracle.Rules{TimeField: "t", KeyField: "k", Chunk: time.Hour}, "v")
	for offset := range int64(10) {
		r := oracle.Record{Topic: "a", Offset: offset, Timestamp: time.UnixMilli(1000), Value: fmt.Appendf(nil, `{"t":1,"k":"%d","v":"x"}`, offset/2)}
		if err := log.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	options := CheckerOptions{Questions: []Question{{
		SQL: "SELECT v, COUNT(*) AS n", Columns: []string{"v", "n"},
		Tally: func() oracle.Tally { return oracle.GroupBy(func(e oracle.Event) string { return e.Text("v") }) },
	}}}
	exact := func() []given {
		var out []given
		for _, cut := range []int64{2, 2, 5, 10} {
			out = append(out, given{cut: oracle.Cut{"a": {0: cut}}, lines: []string{fmt.Sprintf("x|%d", (cut+1)/2)}})
		}
		return out
	}
	for name, spoil := range map[string]func(all []given){
		"":                     func([]given) {},
		"a row too few":        func(all []given) { all[2].lines = []string{"x|2"} },
		"a copy counted twice": func(all []given) { all[3].lines = []string{"x|6"} },
		"a group too many":     func(all []given) { all[0].lines = []string{"x|1", "y|1"} },
		"an empty answer":      func(all []given) { all[1].lines = nil },
		"a cut that went back": func(all []given) { all[1], all[2] = all[2], all[1] },
		"a cut beyond the log": func(all []given) { all[3].cut = oracle.Cut{"a": {0: 11}} },
		"an unreadable cut":    func(all []given) { all[3].problem = "no cut" },
	} {
		client := &checkerClient{node: &Node{ID: "query-1"}, given: exact()}
		spoil(client.given)
		heard := &listener{TB: t}
		client.check(heard, options, log)
		if found := heard.errors > 0; found != (name != "") {
			t.Errorf("%q: %d errors", name, heard.errors)
		}
	}
}
