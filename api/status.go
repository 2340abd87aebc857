package api

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// handleHealth answers GET /status/health: true, or 503 with the reason while the process cannot answer.
func (s *server) handleHealth(w http.ResponseWriter, r *http.Request) {
	if s.health != nil {
		if err := s.health.Ready(r.Context()); err != nil {
			writeError(w, r, &Error{
				Category: ServiceUnavailable, Code: "notReady", Message: "Not ready: " + err.Error(),
			})
			return
		}
	}
	writeJSON(w, r, http.StatusOK, true)
}

// shownModules are the libraries whose versions matter to a person who reports a fault.
var shownModules = []string{
	"github.com/apache/arrow-go/v18", "github.com/duckdb/duckdb-go-bindings", "github.com/twmb/franz-go",
	"go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/server/v3",
}

type statusModule struct {
	Name     string `json:"name"`
	Artifact string `json:"artifact"`
	Version  string `json:"version"`
}

type statusMemory struct {
	MaxMemory    uint64 `json:"maxMemory"` // bytes obtained from the system
	TotalMemory  uint64 `json:"totalMemory"`
	FreeMemory   uint64 `json:"freeMemory"`
	UsedMemory   uint64 `json:"usedMemory"`
	DirectMemory uint64 `json:"directMemory"` // not known to the Go runtime: always 0
}

// handleStatus answers GET /status in Druid's shape. Its memory is that of the Go heap.
func (s *server) handleStatus(w http.ResponseWriter, r *http.Request) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	writeJSON(w, r, http.StatusOK, struct {
		Version string         `json:"version"`
		Modules []statusModule `json:"modules"`
		Memory  statusMemory   `json:"memory"`
	}{
		Version: s.version,
		Modules: modules(),
		Memory: statusMemory{
			MaxMemory: mem.Sys, TotalMemory: mem.HeapSys, UsedMemory: mem.HeapInuse, FreeMemory: mem.HeapSys - mem.HeapInuse,
		},
	})
}

func modules() []statusModule {
	out := []statusModule{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	for _, dep := range info.Deps {
		if slices.Contains(shownModules, dep.Path) {
			out = append(out, statusModule{Name: dep.Path, Artifact: artifact(dep.Path), Version: dep.Version})
		}
	}
	return out
}

// artifact is a module's path without its host and its major version.
func artifact(path string) string {
	_, name, _ := strings.Cut(path, "/")
	if dir, last := name[:strings.LastIndexByte(name, '/')+1], name[strings.LastIndexByte(name, '/')+1:]; majorVersion(last) {
		return strings.TrimSuffix(dir, "/")
	}
	return name
}

func majorVersion(part string) bool {
	return len(part) > 1 && part[0] == 'v' && strings.Trim(part[1:], "0123456789") == ""
}
