package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"drumlin/api"
)

// halts answers the commands about gaps, beside a server.
type halts struct {
	gaps       map[string][]api.Gap
	unanswered []string
	accepted   []string
}

func (h *halts) Gaps(_ context.Context, id string) ([]api.Gap, []string, error) {
	if _, ok := h.gaps[id]; !ok {
		return nil, nil, unknown("supervisor " + id)
	}
	return h.gaps[id], h.unanswered, nil
}

func (h *halts) AcceptGap(_ context.Context, id string, g api.GapRange) error {
	for _, known := range h.gaps[id] {
		if known.Topic == g.Topic && known.Partition == g.Partition && known.From == g.From && known.To == g.To {
			h.accepted = append(h.accepted, fmt.Sprintf("%s %+v", id, g))
			return nil
		}
	}
	return &api.Error{Category: api.Conflict, Code: "otherLoss", Message: "another range is lost"}
}

func (h *halts) start(t *testing.T, s *server) string {
	t.Helper()
	handler, err := api.New(api.Options{Supervisors: s, Gaps: h, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	return web.URL
}

func TestGaps(t *testing.T) {
	s := &server{list: []api.Supervisor{{ID: "events"}, {ID: "web"}}}
	h := &halts{gaps: map[string][]api.Gap{
		"events": {
			{
				Topic: "my events", Partition: 3, Owner: "n1", Reason: "offset_out_of_range", Message: "offsets 20 to 39 are lost", From: 20, To: 40,
				Since: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
			},
			{Topic: "events", Partition: 4, Owner: "n2", Reason: "topic_recreated", Message: "topic events has been deleted and created again"},
			{Topic: "events", Partition: 5, Owner: "n2", Reason: "offset_out_of_range", From: 7, To: 8},
		},
		"web": nil,
	}}
	url := h.start(t, s)
	run(t, url, "", 0, "gap", "list").want(t, 0, ""+
		"supervisor  topic      partition  owner  halted for           lost offsets  records  since\n"+
		"──────────  ─────────  ─────────  ─────  ───────────────────  ────────────  ───────  ────────────────────────\n"+
		"events      my events          3  n1     offset_out_of_range  [20, 40)           20  2026-05-01T10:00:00.000Z\n"+
		"events      events             4  n2     topic_recreated      -                   -\n"+
		"events      events             5  n2     offset_out_of_range  [7, 8)              1\n\n"+
		"To go on without them: drumlin gap accept events --topic 'my events' --partition 3 --from 20 --to 40\n\n"+
		"events: partition 4 of topic events: topic events has been deleted and created again\n\n"+
		"To go on without them: drumlin gap accept events --topic events --partition 5 --from 7 --to 8\n")
	run(t, url, "", 0, "gap", "list", "web").want(t, 0, "", "no partition has halted")
	if o := run(t, url, "", 0, "gap", "list", "--json"); o.code != 0 || !strings.Contains(o.stdout, `"halt`) && !strings.Contains(o.stdout, `"reason": "topic_recreated"`) {
		t.Errorf("%+v", o)
	}
	run(t, url, "", 0, "gap", "list", "nobody").want(t, 1, "", "There is no supervisor nobody.")

	run(t, url, "", 0, "gap", "accept", "events", "--topic", "my events", "--partition", "3", "--from", "20", "--to", "40").
		want(t, 0, "my events/3 [20, 40): 20 records lost, recorded\n")
	run(t, url, "", 0, "gap", "accept", "events", "--topic", "my events", "--partition", "3", "--from", "20", "--to", "41").
		want(t, 1, "", "another range is lost")
	run(t, url, "", 0, "gap", "accept", "events", "--topic", "my events", "--partition", "3", "--from", "40", "--to", "20").
		want(t, 1, "", "is not a range of offsets")
	run(t, url, "", 0, "gap", "accept", "events", "--topic", "x", "--from", "20").want(t, 2, "", "needs --partition, --to", "gap list")
	run(t, url, "", 0, "gap", "accept", "events", "--all", "--to", "9").want(t, 2, "", "leave out --to")
	run(t, url, "", 0, "gap", "accept", "web", "--all").want(t, 0, "", "nothing is lost in web")
	// What can be accepted is; what cannot is told.
	run(t, url, "", 0, "gap", "accept", "events", "--all").want(t, 1,
		"my events/3 [20, 40): 20 records lost, recorded\nevents/5 [7, 8): 1 record lost, recorded\n", "partition 4 of topic events has halted for another reason")
	if len(h.accepted) != 3 {
		t.Errorf("accepted: %v", h.accepted)
	}
	h.unanswered = []string{"node n9: the process cannot be reached"}
	run(t, url, "", 0, "gap", "list", "web").want(t, 0, "", "warning: node n9")
	run(t, url, "", 0, "gap", "accept", "web", "--all").want(t, 1, "", "node n9")
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"a.b-c_1/x": "a.b-c_1/x", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q becomes %s", in, got)
		}
	}
}
