package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
)

// fakeGaps has one halted partition of supervisor events.
type fakeGaps struct{ accepted []GapRange }

func (f *fakeGaps) Gaps(_ context.Context, id string) ([]Gap, []string, error) {
	if id != "events" {
		return nil, nil, &Error{Category: NotFound, Code: "notFound", Message: "no such supervisor"}
	}
	return []Gap{{Topic: "t", Partition: 3, Owner: "n1", Reason: "offset_out_of_range", Message: "lost", From: 20, To: 40}, {Topic: "u", Reason: "log_truncated"}},
		[]string{"node n2 cannot be reached"}, nil
}

func (f *fakeGaps) AcceptGap(_ context.Context, _ string, g GapRange) error {
	f.accepted = append(f.accepted, g)
	return nil
}

func TestGaps(t *testing.T) {
	gaps := &fakeGaps{}
	h := newHandler(t, Options{Supervisors: &fakeSupervisors{}, Gaps: gaps})
	const path = supervisorPath + "/events/gaps"
	want := `{"gaps":[{"topic":"t","partition":3,"owner":"n1","reason":"offset_out_of_range","message":"lost","from":20,"to":40,"records":20},` +
		`{"topic":"u","partition":0,"owner":"","reason":"log_truncated","message":""}],"unanswered":["node n2 cannot be reached"]}` + "\n"
	if w := call(h, "GET", path, "", ""); w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("status %d\ngot  %swant %s", w.Code, w.Body, want)
	}
	wantError(t, call(h, "GET", supervisorPath+"/nobody/gaps", "", ""), 404)
	const good = `{"topic":"t","partition":3,"from":20,"to":40}`
	if w := call(h, "POST", path+"/accept", "application/json", good); w.Code != http.StatusOK ||
		w.Body.String() != `{"id":"events","topic":"t","partition":3,"from":20,"to":40,"records":20}`+"\n" {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	for body, part := range map[string]string{
		`{}`:                                 "topic",
		`{"topic":"t","partition":3,"to":4}`: "from",
		`{"topic":"t","partition":3,"from":null,"to":4}`:                 "from",
		`{"topic":"t","partition":3,"from":4,"to":4}`:                    "range",
		`{"topic":"t","partition":-1,"from":1,"to":4}`:                   "range",
		`{"topic":"","partition":1,"from":1,"to":4}`:                     "range",
		`{"topic":"t","partition":1.5,"from":1,"to":4}`:                  "whole number",
		`{"topic":7,"partition":1,"from":1,"to":4}`:                      "text",
		`{"topic":"t","partition":1,"from":1,"to":4,"form":1}`:           "form",
		`{"topic":"t","partition":1,"from":1,"to":99999999999999999999}`: "whole number",
	} {
		wantError(t, call(h, "POST", path+"/accept", "application/json", body), 400, part)
	}
	if len(gaps.accepted) != 1 {
		t.Errorf("accepted: %v", gaps.accepted)
	}
}

func FuzzGapRange(f *testing.F) {
	f.Add([]byte(`{"topic":"t","partition":3,"from":20,"to":40}`))
	f.Add([]byte(`{"topic":null,"partition":1e1,"from":-1,"to":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		gaps := &fakeGaps{}
		w := call(newHandler(t, Options{Supervisors: &fakeSupervisors{}, Gaps: gaps}), "POST", supervisorPath+"/events/gaps/accept", "application/json", string(body))
		if (w.Code == http.StatusOK) != (len(gaps.accepted) == 1) || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("status %d, accepted %v: %s", w.Code, gaps.accepted, w.Body)
		}
		for _, g := range gaps.accepted {
			if g.Topic == "" || g.Partition < 0 || g.From < 0 || g.From >= g.To {
				t.Fatalf("accepted %+v", g)
			}
		}
	})
}
