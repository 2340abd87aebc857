package api

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
)

const (
	autoCompactionPath = "/druid/coordinator/v1/config/compaction"
	compactionPath     = "/druid/coordinator/v1/compaction"
	rulesPath          = "/druid/coordinator/v1/rules"
)

func (s *server) autoCompactionRoutes() []route {
	return []route{
		{"GET", autoCompactionPath, read, s.handleAutoCompactions},
		{"POST", autoCompactionPath, write, s.handleSetAutoCompaction},
		{"GET", autoCompactionPath + "/{datasource}", read, s.handleAutoCompaction},
		{"POST", autoCompactionPath + "/{datasource}", write, s.handleClusterCompaction},
		{"DELETE", autoCompactionPath + "/{datasource}", write, s.handleDeleteAutoCompaction},
		{"GET", autoCompactionPath + "/{datasource}/history", read, s.handleAutoCompactionHistory},
	}
}

func (s *server) compactionRoutes() []route {
	return []route{
		{"GET", compactionPath + "/status", read, s.handleCompactionStatus},
		{"GET", compactionPath + "/progress", read, s.handleCompactionProgress},
		{"GET", compactionPath + "/explain", read, s.handleExplainCompaction},
	}
}

func (s *server) rulesRoutes() []route {
	return []route{
		{"GET", rulesPath, read, s.handleAllRules},
		{"GET", rulesPath + "/{datasource}", read, s.handleRules},
		{"POST", rulesPath + "/{datasource}", admin, s.handleSetRules},
	}
}

// changed is the answer to a config or rules.
type changed struct {
	DataSource string   `json:"dataSource,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
}

// handleAutoCompactions answers GET …/config/compaction in Druid's shape. The cluster's fields have no effect here.
func (s *server) handleAutoCompactions(w http.ResponseWriter, r *http.Request) {
	list, err := s.autoCompaction.AutoCompactions(r.Context())
	if err != nil {
		writeError(w, r, err)
		return
	}
	if list == nil {
		list = []json.RawMessage{}
	}
	const ratio = 0.1 // Druid's default
	writeJSON(w, r, http.StatusOK, struct {
		Configs   []json.RawMessage `json:"compactionConfigs"`
		SlotRatio float64           `json:"compactionTaskSlotRatio"`
		MaxSlots  int               `json:"maxCompactionTaskSlots"`
		Engine    string            `json:"engine"`
	}{list, ratio, math.MaxInt32, "native"})
}

// handleSetAutoCompaction answers POST …/config/compaction.
func (s *server) handleSetAutoCompaction(w http.ResponseWriter, r *http.Request) {
	body, err := readSpec(w, r, "an auto-compaction config")
	if err != nil {
		writeError(w, r, err)
		return
	}
	warnings, err := s.autoCompaction.SetAutoCompaction(r.Context(), body)
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, changed{Warnings: warnings})
}

// handleClusterCompaction answers POST …/config/compaction/taskslots and …/cluster, which Druid's tools call. The routes'
// patterns cannot hold both names and those of datasources.
func (s *server) handleClusterCompaction(w http.ResponseWriter, r *http.Request) {
	if name := r.PathValue("datasource"); !slices.Contains([]string{"taskslots", "cluster"}, name) {
		methodNotAllowed([]string{"GET", "DELETE"})(w, r)
		return
	}
	writeJSON(w, r, http.StatusOK, map[string][]string{"warnings": {
		"accepted without effect: the number of slots is a setting of the server",
	}})
}

// handleAutoCompaction answers GET …/config/compaction/{datasource}.
func (s *server) handleAutoCompaction(w http.ResponseWriter, r *http.Request) {
	config, err := s.autoCompaction.AutoCompaction(r.Context(), r.PathValue("datasource"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, config)
}

// handleDeleteAutoCompaction answers DELETE …/config/compaction/{datasource}.
func (s *server) handleDeleteAutoCompaction(w http.ResponseWriter, r *http.Request) {
	datasource := r.PathValue("datasource")
	if err := s.autoCompaction.DeleteAutoCompaction(r.Context(), datasource); err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, changed{DataSource: datasource})
}

// handleAutoCompactionHistory answers GET …/config/compaction/{datasource}/history.
func (s *server) handleAutoCompactionHistory(w http.ResponseWriter, r *http.Request) {
	versions, err := s.autoCompaction.AutoCompactionHistory(r.Context(), r.PathValue("datasource"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	type entry struct {
		Config json.RawMessage `json:"compactionConfig"`
		Time   string          `json:"auditTime"`
	}
	out := make([]entry, 0, len(versions))
	for _, v := range versions {
		out = append(out, entry{v.Config, v.Time})
	}
	writeJSON(w, r, http.StatusOK, out)
}

// askedDataSource is the parameter dataSource; Druid's clients write it in both ways.
func askedDataSource(r *http.Request) string {
	query := r.URL.Query()
	if name := query.Get("dataSource"); name != "" {
		return name
	}
	return query.Get("datasource")
}

// handleCompactionStatus answers GET …/compaction/status?dataSource=.
func (s *server) handleCompactionStatus(w http.ResponseWriter, r *http.Request) {
	list, err := s.compaction.CompactionStatus(r.Context(), askedDataSource(r))
	if err != nil {
		writeError(w, r, err)
		return
	}
	if list == nil {
		list = []CompactionStatus{}
	}
	writeJSON(w, r, http.StatusOK, map[string][]CompactionStatus{"latestStatus": list})
}

// handleCompactionProgress answers GET …/compaction/progress?dataSource= with the bytes that wait.
func (s *server) handleCompactionProgress(w http.ResponseWriter, r *http.Request) {
	datasource := askedDataSource(r)
	if datasource == "" {
		writeError(w, r, invalidInput("Parameter dataSource is missing: …/compaction/progress?dataSource=NAME."))
		return
	}
	list, err := s.compaction.CompactionStatus(r.Context(), datasource)
	if err != nil {
		writeError(w, r, err)
		return
	}
	var waiting int64
	for _, status := range list {
		waiting += status.BytesAwaiting
	}
	writeJSON(w, r, http.StatusOK, map[string]int64{"remainingSegmentSize": waiting})
}

// handleExplainCompaction answers GET …/compaction/explain?dataSource=.
func (s *server) handleExplainCompaction(w http.ResponseWriter, r *http.Request) {
	datasource := askedDataSource(r)
	if datasource == "" {
		writeError(w, r, invalidInput("Parameter dataSource is missing: …/compaction/explain?dataSource=NAME."))
		return
	}
	explanation, err := s.compaction.ExplainCompaction(r.Context(), datasource)
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, explanation)
}

// defaultRules is what holds where no rule matches. It is shown as Druid shows its default, and cannot be changed.
const defaultRules = "_default"

// handleAllRules answers GET …/rules.
func (s *server) handleAllRules(w http.ResponseWriter, r *http.Request) {
	all, err := s.rules.AllRules(r.Context())
	if err != nil {
		writeError(w, r, err)
		return
	}
	out := make(map[string]json.RawMessage, len(all)+1)
	for datasource, rules := range all {
		out[datasource] = rules
	}
	out[defaultRules] = json.RawMessage(`[{"type":"loadForever"}]`)
	writeJSON(w, r, http.StatusOK, out)
}

// handleRules answers GET …/rules/{datasource}.
func (s *server) handleRules(w http.ResponseWriter, r *http.Request) {
	rules, err := s.rules.Rules(r.Context(), r.PathValue("datasource"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, rules)
}

// handleSetRules answers POST …/rules/{datasource}.
func (s *server) handleSetRules(w http.ResponseWriter, r *http.Request) {
	datasource := r.PathValue("datasource")
	body, err := readSpec(w, r, "a list of rules")
	if err == nil && datasource == defaultRules {
		err = invalidInput("The rules of %s cannot be changed: what no rule matches is kept. Set those of a datasource.", defaultRules)
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	warnings, err := s.rules.SetRules(r.Context(), datasource, body)
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, changed{datasource, warnings})
}
