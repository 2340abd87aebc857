package query

import (
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"

	"drumlin/duckdb"
	"drumlin/query/cache"
)

// How long a query waits for others where nothing else is said.
const (
	// DefaultHotBudget lets a query wait through the takeover of a process that was killed: its lease of 10 s ends, another
	// process takes its partitions, and reads again what only its memory held.
	DefaultHotBudget = 30 * time.Second
	// DefaultObjectBudget lets a request to the store that stands still for its 15 s be made once more.
	DefaultObjectBudget = 20 * time.Second
	// partialBudget bounds the wait of a query that allows an answer without what is waited for, and does not say how long.
	partialBudget = 5 * time.Second
	// catalogBudget bounds the wait for a newer view before owners are asked.
	catalogBudget = 5 * time.Second
)

// Options configure an engine. Zero limits take the defaults named beside them.
type Options struct {
	Catalog Catalog
	Hot     HotSource
	Objects cache.Getter
	// Supervisors are asked for the states in sys.supervisors. Nil: they are what the catalog records.
	Supervisors SupervisorStates
	// CacheDir holds verified segments; the engine owns it. MaxCacheBytes bounds it; 0: no limit.
	CacheDir      string
	MaxCacheBytes int64
	// DuckDB are the limits of the database that the engine opens. Its AllowedDirs are set by the engine.
	DuckDB duckdb.Options

	// MaxFoldBytes bounds the memory in which queries roll up rows that compaction has not, all queries together. 0: half
	// of DuckDB's MemoryLimitBytes, or 1 GiB where that has none.
	MaxFoldBytes int64

	MaxConcurrent  int           // queries at once: twice the processors
	QueueTimeout   time.Duration // how long a query waits for its turn: 5 s
	DefaultTimeout time.Duration // of a query that names none: 60 s
	MaxTimeout     time.Duration // of any query, also of those that ask for none: 10 min
	HotBudget      time.Duration // how long owners of partitions are waited for: DefaultHotBudget
	ObjectBudget   time.Duration // how long nothing may come of an object that is fetched: DefaultObjectBudget
	MaxSQLBytes    int           // length of a statement: 1 MiB
	ViewCheckEvery time.Duration // how often the catalog is asked whether the view is the newest: 1 s

	Allocator  memory.Allocator      // of rows that queries roll up; nil: Go's heap
	Logger     *slog.Logger          // nil: no log
	Registerer prometheus.Registerer // nil: no metrics
}

func (o Options) withDefaults() (Options, error) {
	if o.Catalog == nil || o.Hot == nil || o.Objects == nil || o.CacheDir == "" {
		return o, errors.New("query: Catalog, Hot, Objects and CacheDir must be given")
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = 2 * runtime.GOMAXPROCS(0)
	}
	if o.QueueTimeout <= 0 {
		o.QueueTimeout = 5 * time.Second
	}
	if o.DefaultTimeout <= 0 {
		o.DefaultTimeout = time.Minute
	}
	if o.MaxTimeout <= 0 {
		o.MaxTimeout = 10 * time.Minute
	}
	if o.HotBudget <= 0 {
		o.HotBudget = DefaultHotBudget
	}
	if o.ObjectBudget <= 0 {
		o.ObjectBudget = DefaultObjectBudget
	}
	if o.ViewCheckEvery <= 0 {
		o.ViewCheckEvery = time.Second
	}
	if o.MaxFoldBytes <= 0 {
		if o.MaxFoldBytes = o.DuckDB.MemoryLimitBytes / 2; o.MaxFoldBytes <= 0 {
			o.MaxFoldBytes = 1 << 30
		}
	}
	if o.Allocator == nil {
		o.Allocator = memory.NewGoAllocator()
	}
	if o.MaxSQLBytes <= 0 {
		o.MaxSQLBytes = 1 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
