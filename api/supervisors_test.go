package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func twoSupervisors() *fakeSupervisors {
	return &fakeSupervisors{list: []Supervisor{
		{
			ID: "events", State: "RUNNING", DetailedState: "RUNNING", Healthy: true, DataSource: "events",
			Spec: json.RawMessage(`{"type":"kafka","n":12345678901234567890,"html":"<&>"}`),
		},
		{ID: "wiki", State: "UNHEALTHY_SUPERVISOR", Suspended: true, DataSource: "wikipedia", Spec: json.RawMessage(`{"n":1.10}`)},
	}}
}

func TestSubmit(t *testing.T) {
	sup := &fakeSupervisors{submit: func(spec []byte) (string, []string, error) {
		switch string(spec) {
		case "good":
			return "events", nil, nil
		case "warned":
			return "events", []string{"replicas: accepted without effect"}, nil
		}
		return "", nil, &Error{
			Category: InvalidInput, Code: "invalidInput", Message: "The spec has 2 problems:",
			Problems: []Problem{{"spec.ioConfig.topci", "unknown field"}, {"spec.dataSchema", "missing"}},
		}
	}}
	h := newHandler(t, Options{Supervisors: sup})
	for body, want := range map[string]string{
		"good":   `{"id":"events"}` + "\n",
		"warned": `{"id":"events","warnings":["replicas: accepted without effect"]}` + "\n",
	} {
		for _, ct := range []string{"application/json", "application/yaml", "text/plain", ""} {
			if w := call(h, "POST", supervisorPath, ct, body); w.Code != 200 || w.Body.String() != want {
				t.Errorf("%s as %q: status %d, body %s", body, ct, w.Code, w.Body)
			}
		}
	}
	e := wantError(t, call(h, "POST", supervisorPath, "application/json", "bad"), 400)
	if want := "The spec has 2 problems:\n  spec.ioConfig.topci: unknown field\n  spec.dataSchema: missing"; e.ErrorMessage != want {
		t.Errorf("message %q", e.ErrorMessage)
	}
	if got := sortedKeys(e.Context); !reflect.DeepEqual(got, []string{"spec.dataSchema", "spec.ioConfig.topci"}) {
		t.Errorf("context %v", e.Context)
	}
	wantError(t, call(h, "POST", supervisorPath, "application/x-www-form-urlencoded", "good"), 415, "--data-binary")
	wantError(t, call(h, "POST", supervisorPath, "application/json", " "), 400, "empty")
	wantError(t, call(h, "POST", supervisorPath, "application/json", strings.Repeat("x", maxSpecBytes+1)), 413)
}

func TestListAndGet(t *testing.T) {
	h := newHandler(t, Options{Supervisors: twoSupervisors()})
	for path, want := range map[string]string{
		supervisorPath: `["events","wiki"]`,
		supervisorPath + "?state=true": `[{"id":"events","state":"RUNNING","detailedState":"RUNNING","healthy":true,` +
			`"suspended":false,"dataSource":"events"},{"id":"wiki","state":"UNHEALTHY_SUPERVISOR","detailedState":"",` +
			`"healthy":false,"suspended":true,"dataSource":"wikipedia"}]`,
		supervisorPath + "/wiki":          `{"n":1.10}`,
		supervisorPath + "/events":        `{"type":"kafka","n":12345678901234567890,"html":"<&>"}`,
		supervisorPath + "/events/health": `{"healthy":true}`,
	} {
		if w := call(h, "GET", path, "", ""); w.Code != 200 || w.Body.String() != want+"\n" {
			t.Errorf("%s: status %d\ngot  %swant %s", path, w.Code, w.Body, want)
		}
	}
	for _, path := range []string{supervisorPath + "?full", supervisorPath + "?full=null"} {
		if w := call(h, "GET", path, "", ""); !strings.Contains(w.Body.String(), `"spec":{"n":1.10}`) {
			t.Errorf("%s shows %s", path, w.Body)
		}
	}
	if w := call(h, "GET", supervisorPath+"/wiki/health", "", ""); w.Code != 503 || w.Body.String() != `{"healthy":false}`+"\n" {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	for _, path := range []string{"/evnets", "/evnets/status", "/evnets/health"} {
		wantError(t, call(h, "GET", supervisorPath+path, "", ""), 404, `Did you mean \"events\"`)
	}
	w := call(h, "GET", supervisorPath+"/wiki/status", "", "")
	var report struct {
		ID, GenerationTime string
		Payload            map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &report); err != nil || report.ID != "wiki" || report.GenerationTime == "" || report.Payload["state"] != "RUNNING" {
		t.Errorf("%v: %s", err, w.Body)
	}
}

func TestHandoff(t *testing.T) {
	sup := twoSupervisors()
	h := newHandler(t, Options{Supervisors: sup})
	const path = supervisorPath + "/events/taskGroups/handoff"
	for body, want := range map[string][]int{
		"": nil, "{}": nil, `{"taskGroupIds":[]}`: {}, `{"taskGroupIds":null}`: nil, `{"taskGroupIds":[0,2]}`: {0, 2},
	} {
		if w := call(h, "POST", path, "application/json", body); w.Code != 200 || w.Body.String() != `{"id":"events"}`+"\n" {
			t.Errorf("%q: status %d, body %s", body, w.Code, w.Body)
		}
		if got := sup.handedOff["events"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%q: groups %#v", body, got)
		}
	}
	wantError(t, call(h, "POST", path, "application/json", `{"taskGroupId":[1]}`), 400, `\"taskGroupIds\"`)
	wantError(t, call(h, "POST", path, "application/json", `{"taskGroupIds":["a"]}`), 400, "numbers")
	wantError(t, call(h, "POST", path, "application/json", `{"taskGroupIds":[-1]}`), 400, "negative")
	wantError(t, call(h, "POST", supervisorPath+"/event/taskGroups/handoff", "", ""), 404, "events")
	sup.handoff = &Error{Category: ServiceUnavailable, Code: "unavailable", Message: "partition 3 has no owner"}
	wantError(t, call(h, "POST", path, "", ""), 503, "partition 3")
}

func TestControls(t *testing.T) {
	sup := twoSupervisors()
	h := newHandler(t, Options{Supervisors: sup, Controls: sup})
	for _, verb := range []string{"suspend", "resume"} {
		if w := call(h, "POST", supervisorPath+"/events/"+verb, "", ""); w.Code != http.StatusOK || w.Body.String() != `{"id":"events"}`+"\n" {
			t.Errorf("%s: status %d, body %s", verb, w.Code, w.Body)
		}
	}
	wantError(t, call(h, "POST", supervisorPath+"/nobody/resume", "", ""), 404, "nobody")
	if want := []string{"suspend events", "resume events"}; !reflect.DeepEqual(sup.done, want) {
		t.Errorf("done %v", sup.done)
	}
	without := newHandler(t, Options{Supervisors: sup})
	wantError(t, call(without, "POST", supervisorPath+"/events/suspend", "", ""), 404)
}
