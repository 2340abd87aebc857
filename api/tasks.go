package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"drumlin/internal/nearest"
)

const (
	taskPath        = "/druid/indexer/v1/task"
	indexerPath     = "/druid/indexer/v1"
	datasourcesPath = "/druid/coordinator/v1/datasources"
)

// taskRoutes are those of the queue.
func (s *server) taskRoutes() []route {
	list := []route{
		{"POST", taskPath, write, s.handleSubmitTask},
		{"GET", taskPath + "/{id}", read, s.handleTask},
		{"GET", taskPath + "/{id}/status", read, s.handleTaskStatus},
		{"POST", taskPath + "/{id}/shutdown", write, s.handleCancelTask},
		{"GET", indexerPath + "/tasks", read, s.handleTasks("")},
		{"POST", indexerPath + "/taskStatus", read, s.handleTaskStatuses},
		{"POST", indexerPath + "/datasources/{datasource}/shutdownAllTasks", write, s.handleCancelTasks},
		{"POST", datasourcesPath + "/{datasource}/markUnused", admin, s.handleMarkUnused},
	}
	for _, state := range []TaskState{TasksRunning, TasksPending, TasksWaiting, TasksComplete} {
		list = append(list, route{"GET", indexerPath + "/" + string(state) + "Tasks", read, s.handleTasks(state)})
	}
	if s.outputs != nil {
		list = append(list,
			route{"GET", taskPath + "/{id}/reports", read, s.handleTaskReport},
			route{"GET", taskPath + "/{id}/log", read, s.handleTaskLog})
	}
	return list
}

// readSpec reads a body that holds a document in YAML or JSON.
func readSpec(w http.ResponseWriter, r *http.Request, what string) ([]byte, error) {
	media, err := mediaType(r)
	if err != nil {
		return nil, err
	}
	if !specMedia[media] {
		return nil, unsupportedMedia(media, "Send "+what+" as application/yaml or application/json, for example: "+
			"curl -H 'Content-Type: application/yaml' --data-binary @file.yaml.")
	}
	body, err := readBody(w, r, maxSpecBytes)
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(body))) == 0 {
		return nil, invalidInput("The request body is empty: it must hold %s in YAML or JSON.", what)
	}
	return body, nil
}

// submittedTask is the answer to a task.
type submittedTask struct {
	Task     string   `json:"task"`
	Warnings []string `json:"warnings,omitempty"`
}

// handleSubmitTask answers POST …/task.
func (s *server) handleSubmitTask(w http.ResponseWriter, r *http.Request) {
	body, err := readSpec(w, r, "a task")
	if err != nil {
		writeError(w, r, err)
		return
	}
	s.submitTask(w, r, body)
}

func (s *server) submitTask(w http.ResponseWriter, r *http.Request, body []byte) {
	if err := allowTask(r.Context(), body); err != nil {
		writeError(w, r, err)
		return
	}
	id, warnings, err := s.tasks.SubmitTask(r.Context(), body)
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, submittedTask{id, warnings})
}

// handleMarkUnused answers POST …/datasources/{datasource}/markUnused by submitting a task of that type.
func (s *server) handleMarkUnused(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, maxSpecBytes)
	if err != nil {
		writeError(w, r, err)
		return
	}
	fields, err := decodeObject(body, "the request", []string{"interval", "segmentIds"})
	if err != nil {
		writeError(w, r, err)
		return
	}
	task := map[string]any{"type": "markUnused", "dataSource": r.PathValue("datasource")}
	for name, value := range fields {
		task[name] = value
	}
	text, err := json.Marshal(task)
	if err != nil {
		writeError(w, r, fmt.Errorf("encode a task: %w", err))
		return
	}
	s.submitTask(w, r, text)
}

// handleTask answers GET …/task/{id} with what was submitted.
func (s *server) handleTask(w http.ResponseWriter, r *http.Request) {
	t, spec, err := s.tasks.Task(r.Context(), r.PathValue("id"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, struct {
		Task    string          `json:"task"`
		Payload json.RawMessage `json:"payload"`
	}{t.ID, spec})
}

// handleTaskStatus answers GET …/task/{id}/status.
func (s *server) handleTaskStatus(w http.ResponseWriter, r *http.Request) {
	t, _, err := s.tasks.Task(r.Context(), r.PathValue("id"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, struct {
		Task   string `json:"task"`
		Status Task   `json:"status"`
	}{t.ID, t})
}

// handleTaskStatuses answers POST …/taskStatus, a list of ids, with the statuses of those that exist.
func (s *server) handleTaskStatuses(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, maxSpecBytes)
	if err != nil {
		writeError(w, r, err)
		return
	}
	var ids []string
	if err := json.Unmarshal(body, &ids); err != nil {
		writeError(w, r, invalidInput("The request body must be a JSON list of task ids."))
		return
	}
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	list, err := s.tasks.ListTasks(r.Context(), TaskFilter{})
	if err != nil {
		writeError(w, r, err)
		return
	}
	found := make(map[string]Task, len(wanted))
	for _, t := range list {
		if wanted[t.ID] {
			found[t.ID] = t
		}
	}
	writeJSON(w, r, http.StatusOK, found)
}

// handleTasks answers GET …/tasks, and its aliases, which choose a state.
func (s *server) handleTasks(state TaskState) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := taskFilter(r, state)
		if err != nil {
			writeError(w, r, err)
			return
		}
		list, err := s.tasks.ListTasks(r.Context(), f)
		if err != nil {
			writeError(w, r, err)
			return
		}
		if list == nil {
			list = []Task{}
		}
		writeJSON(w, r, http.StatusOK, list)
	}
}

// taskFilter reads the parameters of a list of tasks.
func taskFilter(r *http.Request, state TaskState) (TaskFilter, error) {
	f := TaskFilter{State: state}
	known := []string{"state", "datasource", "dataSource", "createdTimeInterval", "max", "type"}
	for name, values := range r.URL.Query() {
		value := values[len(values)-1]
		switch name {
		case "state":
			switch given := TaskState(strings.ToLower(value)); given {
			case TasksWaiting, TasksPending, TasksRunning, TasksComplete:
				if state != "" && given != state {
					return f, invalidInput("Parameter state=%s contradicts the path, which lists %s tasks.", value, state)
				}
				f.State = given
			default:
				return f, invalidInput("Parameter state=%q is not known: it must be waiting, pending, running or complete.", value)
			}
		case "datasource", "dataSource":
			f.DataSource = value
		case "type":
			f.Type = value
		case "createdTimeInterval":
			f.Created = strings.Replace(value, "_", "/", 1) // a slash cannot stand in a path, so Druid writes it so
		case "max":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return f, invalidInput("Parameter max=%q must be a whole number from 1 on.", value)
			}
			f.Max = n
		default:
			e := invalidInput("Parameter %q is not known; known are %s.", name, strings.Join(known, ", "))
			if near := nearest.Within(name, known, len(name)/2); near != "" {
				e.Hint = fmt.Sprintf("Did you mean %q?", near)
			}
			return f, e
		}
	}
	return f, nil
}

// handleCancelTask answers POST …/task/{id}/shutdown.
func (s *server) handleCancelTask(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := s.tasks.CancelTask(r.Context(), id); err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, submittedTask{Task: id})
}

// handleCancelTasks answers POST …/datasources/{datasource}/shutdownAllTasks.
func (s *server) handleCancelTasks(w http.ResponseWriter, r *http.Request) {
	datasource := r.PathValue("datasource")
	list, err := s.tasks.ListTasks(r.Context(), TaskFilter{DataSource: datasource})
	if err != nil {
		writeError(w, r, err)
		return
	}
	for _, t := range list {
		if t.StatusCode != "RUNNING" {
			continue
		}
		if err := s.tasks.CancelTask(r.Context(), t.ID); err != nil {
			writeError(w, r, err)
			return
		}
	}
	writeJSON(w, r, http.StatusOK, map[string]string{"dataSource": datasource})
}

// handleTaskReport answers GET …/task/{id}/reports. Druid's part of the report names the task.
func (s *server) handleTaskReport(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	report, err := s.outputs.TaskReport(r.Context(), id)
	if err == nil {
		report, err = withTaskID(report, id)
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, report)
}

func withTaskID(report json.RawMessage, id string) (json.RawMessage, error) {
	const druidPart = "ingestionStatsAndErrors"
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(report, &parts); err != nil {
		return nil, fmt.Errorf("the report of task %s cannot be read: %w", id, err)
	}
	raw, ok := parts[druidPart]
	if !ok {
		return report, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("the report of task %s has no object %s: %w", id, druidPart, err)
	}
	if fields == nil {
		return report, nil
	}
	text, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	fields["taskId"] = text
	if parts[druidPart], err = json.Marshal(fields); err != nil {
		return nil, err
	}
	return json.Marshal(parts)
}

// handleTaskLog answers GET …/task/{id}/log?offset=.
func (s *server) handleTaskLog(w http.ResponseWriter, r *http.Request) {
	var offset int64
	if text := r.URL.Query().Get("offset"); text != "" {
		var err error
		if offset, err = strconv.ParseInt(text, 10, 64); err != nil {
			writeError(w, r, invalidInput("Parameter offset=%q must be a whole number of bytes.", text))
			return
		}
	}
	text, err := s.outputs.TaskLog(r.Context(), r.PathValue("id"), offset)
	if err != nil {
		writeError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(text); err != nil {
		noteError(r.Context(), fmt.Errorf("send the log: %w", err))
	}
}
