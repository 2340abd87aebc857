package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"drumlin/internal/nearest"
)

const (
	maxSpecBytes    = 1 << 20
	maxHandoffBytes = 64 << 10
)

// specMedia are the content types of a spec.
var specMedia = map[string]bool{
	contentTypeJSON: true, "application/yaml": true, "application/x-yaml": true, "text/yaml": true, "text/x-yaml": true,
	contentTypeText: true, "application/octet-stream": true, "": true,
}

// handleSubmit answers POST …/supervisor.
func (s *server) handleSubmit(w http.ResponseWriter, r *http.Request) {
	body, err := readSpec(w, r, "a supervisor spec")
	if err != nil {
		writeError(w, r, err)
		return
	}
	if err := s.allowSpec(r.Context(), body); err != nil {
		writeError(w, r, err)
		return
	}
	id, warnings, err := s.supervisors.Submit(r.Context(), body)
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, struct {
		ID       string   `json:"id"`
		Warnings []string `json:"warnings,omitempty"`
	}{id, warnings})
}

// supervisorObject is Druid's supervisor object.
type supervisorObject struct {
	ID            string          `json:"id"`
	State         string          `json:"state"`
	DetailedState string          `json:"detailedState"`
	Healthy       bool            `json:"healthy"`
	Suspended     bool            `json:"suspended"`
	DataSource    string          `json:"dataSource"`
	Spec          json.RawMessage `json:"spec,omitempty"`
}

// handleList answers GET …/supervisor: ids, or with ?full objects, or with ?state=true objects without specs.
func (s *server) handleList(w http.ResponseWriter, r *http.Request) {
	list, err := s.supervisors.List(r.Context())
	if err != nil {
		writeError(w, r, err)
		return
	}
	full, state := r.URL.Query().Has("full"), r.URL.Query().Get("state") == "true"
	if !full && !state {
		ids := make([]string, 0, len(list))
		for _, sup := range list {
			ids = append(ids, sup.ID)
		}
		writeJSON(w, r, http.StatusOK, ids)
		return
	}
	objects := make([]supervisorObject, 0, len(list))
	for _, sup := range list {
		o := supervisorObject{
			ID: sup.ID, State: sup.State, DetailedState: sup.DetailedState, Healthy: sup.Healthy,
			Suspended: sup.Suspended, DataSource: sup.DataSource,
		}
		if full {
			o.Spec = sup.Spec
		}
		objects = append(objects, o)
	}
	writeJSON(w, r, http.StatusOK, objects)
}

// find returns the supervisor or an error that names those that exist.
func (s *server) find(ctx context.Context, id string) (Supervisor, error) {
	list, err := s.supervisors.List(ctx)
	if err != nil {
		return Supervisor{}, err
	}
	ids := make([]string, 0, len(list))
	for _, sup := range list {
		if sup.ID == id {
			return sup, nil
		}
		ids = append(ids, sup.ID)
	}
	e := &Error{Category: NotFound, Code: "notFound", Message: fmt.Sprintf("No supervisor has the id %q.", id)}
	if near := nearest.Within(id, ids, len(id)/2); near != "" {
		e.Hint = fmt.Sprintf("Did you mean %q?", near)
	}
	return Supervisor{}, e
}

// handleGet answers GET …/supervisor/{id} with the spec.
func (s *server) handleGet(w http.ResponseWriter, r *http.Request) {
	sup, err := s.find(r.Context(), r.PathValue("id"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, sup.Spec)
}

// handleSupervisorStatus answers GET …/supervisor/{id}/status.
func (s *server) handleSupervisorStatus(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := s.find(r.Context(), id); err != nil {
		writeError(w, r, err)
		return
	}
	payload, err := s.supervisors.Status(r.Context(), id)
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, struct {
		ID             string `json:"id"`
		GenerationTime string `json:"generationTime"`
		Payload        any    `json:"payload"`
	}{id, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), payload})
}

// handleSupervisorHealth answers GET …/supervisor/{id}/health: 200 or 503, as Druid does.
func (s *server) handleSupervisorHealth(w http.ResponseWriter, r *http.Request) {
	sup, err := s.find(r.Context(), r.PathValue("id"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	status := http.StatusOK
	if !sup.Healthy {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, r, status, map[string]bool{"healthy": sup.Healthy})
}

// handleHandoff answers POST …/supervisor/{id}/taskGroups/handoff once the commits are visible.
func (s *server) handleHandoff(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	groups, err := readHandoff(w, r)
	if err == nil {
		_, err = s.find(r.Context(), id)
	}
	if err == nil {
		err = s.supervisors.Handoff(r.Context(), id, groups)
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, map[string]string{"id": id})
}

// readHandoff reads {"taskGroupIds":[…]}; no body at all means every group.
func readHandoff(w http.ResponseWriter, r *http.Request) ([]int, error) {
	body, err := readBody(w, r, maxHandoffBytes)
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(body))) == 0 {
		return nil, nil
	}
	fields, err := decodeObject(body, "the request", []string{"taskGroupIds"})
	if err != nil {
		return nil, err
	}
	var groups []int
	if raw, ok := fields["taskGroupIds"]; ok {
		if err := json.Unmarshal(raw, &groups); err != nil {
			return nil, invalidInput("Field \"taskGroupIds\" must be a list of numbers.")
		}
	}
	for _, g := range groups {
		if g < 0 {
			return nil, invalidInput("Field \"taskGroupIds\": %d is negative.", g)
		}
	}
	return groups, nil
}

// control answers POST …/supervisor/{id}/suspend and its like.
func (s *server) control(do func(context.Context, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if err := do(r.Context(), id); err != nil {
			writeError(w, r, err)
			return
		}
		writeJSON(w, r, http.StatusOK, map[string]string{"id": id})
	}
}
