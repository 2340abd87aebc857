package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"drumlin/internal/secure"
)

// Options are the parts that a handler is made of. Routes whose part is nil do not exist.
type Options struct {
	Queries     Queries
	Supervisors Supervisors
	Controls    Controls
	Gaps        Gaps
	// Tasks and TaskOutputs make the paths of tasks, AutoCompaction, CompactionProgress and Rules those of the coordinator.
	Tasks              Tasks
	TaskOutputs        TaskOutputs // without Tasks: not used
	AutoCompaction     AutoCompaction
	CompactionProgress CompactionProgress
	Rules              Rules
	Health             Health // nil: always healthy
	Logger             *slog.Logger
	Version            string
	// Gatherer is what GET /metrics shows; Registerer takes the api's own metrics. Either may be nil.
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	// Loopback says that the listener is bound to loopback (LoopbackOnly): requests under any other host name are
	// then refused.
	Loopback bool
	// Access says which tokens may do what; nil: anyone may do anything.
	Access *secure.Access
	// OpenMetrics lets GET /metrics be read without a token.
	OpenMetrics bool
}

// server holds what the handlers need.
type server struct {
	queries     Queries
	supervisors Supervisors
	controls    Controls
	gaps        Gaps

	tasks          Tasks
	outputs        TaskOutputs
	autoCompaction AutoCompaction
	compaction     CompactionProgress
	rules          Rules

	health  Health
	logger  *slog.Logger
	version string
	metrics *metrics
	access  *secure.Access
	running running
	paths   []string // every route, for the answer to a path that does not exist
}

// New returns the handler of all paths.
func New(o Options) (http.Handler, error) {
	if o.Logger == nil {
		return nil, errors.New("api: Options.Logger is missing")
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("api: register metrics: %w", err)
	}
	s := &server{
		queries: o.Queries, supervisors: o.Supervisors, controls: o.Controls, gaps: o.Gaps, health: o.Health,
		tasks: o.Tasks, outputs: o.TaskOutputs, autoCompaction: o.AutoCompaction, compaction: o.CompactionProgress, rules: o.Rules,
		logger: o.Logger, version: o.Version, metrics: m, access: o.Access,
	}
	var handler http.Handler
	if handler, err = s.mux(s.routes(o)); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(refuseCrossOrigin))
	handler = origin.Handler(handler)
	if o.Loopback {
		handler = checkHost(handler)
	}
	return s.observe(handler), nil
}

// NewServer returns a server with time limits that suit the handler: a slow sender is cut off, a long query is not.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// bodyReadTimeout is how long a client may take to send its body.
const bodyReadTimeout = 30 * time.Second

// route is one method of one path. Tables of routes name no fields, so that none can be left out.
type route struct {
	method, path string
	need         need
	handler      http.HandlerFunc
}

const (
	sqlPath        = "/druid/v2/sql"
	supervisorPath = "/druid/indexer/v1/supervisor"
)

// routes are those of the parts that there are.
func (s *server) routes(o Options) []route {
	list := []route{
		{"GET", "/status", open, s.handleStatus},
		{"GET", "/status/health", open, s.handleHealth},
	}
	if o.Gatherer != nil {
		scrape := read
		if o.OpenMetrics {
			scrape = open
		}
		list = append(list, route{"GET", "/metrics", scrape, promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{}).ServeHTTP})
	}
	if s.queries != nil {
		list = append(list,
			route{"POST", sqlPath, read, s.handleSQL},
			route{"POST", sqlPath + "/{$}", read, s.handleSQL},
			route{"DELETE", sqlPath + "/{id}", read, s.handleCancelSQL})
	}
	if s.supervisors != nil {
		list = append(list,
			route{"POST", supervisorPath, write, s.handleSubmit},
			route{"GET", supervisorPath, read, s.handleList},
			route{"GET", supervisorPath + "/{id}", read, s.handleGet},
			route{"GET", supervisorPath + "/{id}/status", read, s.handleSupervisorStatus},
			route{"GET", supervisorPath + "/{id}/health", read, s.handleSupervisorHealth},
			route{"POST", supervisorPath + "/{id}/taskGroups/handoff", write, s.handleHandoff})
	}
	if s.controls != nil {
		list = append(list,
			route{"POST", supervisorPath + "/{id}/suspend", admin, s.control(s.controls.Suspend)},
			route{"POST", supervisorPath + "/{id}/resume", admin, s.control(s.controls.Resume)})
	}
	if s.gaps != nil {
		list = append(list, s.gapRoutes()...)
	}
	if s.tasks != nil {
		list = append(list, s.taskRoutes()...)
	}
	if s.autoCompaction != nil {
		list = append(list, s.autoCompactionRoutes()...)
	}
	if s.compaction != nil {
		list = append(list, s.compactionRoutes()...)
	}
	if s.rules != nil {
		list = append(list, s.rulesRoutes()...)
	}
	return list
}

// mux answers the routes, 405 for a known path with another method, and 404 for the rest, which are for known callers too.
func (s *server) mux(list []route) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, r := range list {
		if r.need == undecided || r.need > admin {
			return nil, fmt.Errorf("the route %s %s does not say who may use it", r.method, r.path)
		}
		mux.Handle(r.method+" "+r.path, s.guard(r.need, limitBodyTime(bodyReadTimeout, r.handler)))
		methods[r.path] = append(methods[r.path], r.method)
		if !strings.HasSuffix(r.path, "{$}") {
			s.paths = append(s.paths, r.method+" "+r.path)
		}
	}
	for path, allowed := range methods {
		mux.Handle(path, s.guard(read, methodNotAllowed(allowed)))
	}
	mux.Handle("/", s.guard(read, http.HandlerFunc(s.handleNotFound)))
	return mux, nil
}

// limitBodyTime bounds the time in which a body arrives, and lifts the bound once it has: the connection's reader
// would otherwise end a long query with it.
func limitBodyTime(timeout time.Duration, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			r.Body = &timedBody{ReadCloser: r.Body, control: http.NewResponseController(w), timeout: timeout}
		}
		next(w, r)
	})
}

// methodNotAllowed answers a known path with a method that it does not have.
func methodNotAllowed(allowed []string) http.HandlerFunc {
	slices.Sort(allowed)
	list := strings.Join(allowed, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", list)
		e := invalidInput("%s is not possible on %s; possible: %s.", r.Method, r.URL.Path, list)
		e.Code, e.Status = "methodNotAllowed", http.StatusMethodNotAllowed
		writeError(w, r, e)
	}
}

// handleNotFound names the paths that exist.
func (s *server) handleNotFound(w http.ResponseWriter, r *http.Request) {
	e := &Error{
		Category: NotFound, Code: "notFound",
		Message: fmt.Sprintf("No such path: %s %s.", r.Method, r.URL.Path),
		Context: map[string]string{"paths": strings.Join(s.paths, ", ")},
	}
	if s.queries == nil && (r.URL.Path == sqlPath || strings.HasPrefix(r.URL.Path, sqlPath+"/")) {
		e.Message, e.Hint = "This process does not answer SQL.", "Ask one that has the role query."
	}
	writeError(w, r, e)
}
