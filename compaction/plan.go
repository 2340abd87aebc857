package compaction

import (
	"errors"
	"fmt"
	"strings"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/segment"
	"drumlin/spec"
)

// Policy says what a compaction is after. A task that a person submits has none: it does what can be done.
type Policy string

// The standing policies of auto-compaction.
const (
	// PolicyRecent merges small tail segments of the newest chunks: cheap, and it changes no layout and no plan.
	PolicyRecent Policy = spec.PolicyRecent
	// PolicyHistorical compacts whole chunks towards the target size, where rewriting them is worth it.
	PolicyHistorical Policy = spec.PolicyHistorical
)

// What a task that does not say it gets.
const (
	defaultMaxRowsPerSegment  = 5_000_000
	defaultTargetSegmentBytes = 300_000_000
	// noLimit is more rows, and more bytes, than any chunk has: what is asked for beyond is cut to it, so that sums and
	// multiples of limits stay within 64 bits.
	noLimit = 1 << 50
)

// ErrNoSegments: the task's intervals hold no data at all. The plan of such a task is a *PlanError that is this error too.
var ErrNoSegments = errors.New("no segments")

// PlanError lists everything that speaks against a task at the view that it was planned on.
type PlanError struct {
	Problems spec.Problems
	// NoSegments: the task's intervals hold no data. It is a failure of a running task, and no fault of a submitted one.
	NoSegments bool
}

func (e *PlanError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Is makes errors.Is(err, ErrNoSegments) true where there is no data and nothing else is wrong.
func (e *PlanError) Is(target error) bool {
	return target == ErrNoSegments && e.NoSegments && len(e.Problems) == 1
}

// TaskPlan is what a task comes to at one view.
type TaskPlan struct {
	Chunks   []ChunkPlan     // ascending
	Empty    []spec.Interval // the parts of the task's intervals that hold no data, ascending
	Warnings []string
}

// ChunkPlan is what becomes of one output chunk: buckets that are claimed and swapped together.
type ChunkPlan struct {
	Interval spec.Interval
	Buckets  []segment.Bucket
	Job      *Job          // nil: nothing to do, or refused
	Reason   string        // why there is a job, or why there is none
	Problems spec.Problems // why it is refused; none otherwise
	Before   Shape
	totals   catalog.Totals // over the chunk's life so far
}

// PlanTask says what the task does at the view. It is a pure function. Where anything speaks against the task, in whatever
// chunk, the error is a *PlanError with every problem: a submission is judged by the same function as a run.
func PlanTask(view *catalog.View, t *spec.Task) (*TaskPlan, error) {
	plan, problems := planTask(view, t, always())
	noSegments := false
	if plan != nil {
		problems = append(problems, plan.chunkProblems(problems)...)
		if t.Type != spec.TaskKill && len(problems) == 0 && !plan.hasData() {
			noSegments = true
			problems = append(problems, spec.Problem{Path: "interval", Message: noSegmentsMessage(t, plan)})
		}
	}
	if len(problems) > 0 {
		return nil, &PlanError{Problems: problems, NoSegments: noSegments}
	}
	return plan, nil
}

// maxChunkProblems is how many problems of chunks one answer tells: a task may touch tens of thousands of chunks.
const maxChunkProblems = 100

// chunkProblems are the chunks' problems, each once and without those that are known: one fault often shows in many chunks.
func (p *TaskPlan) chunkProblems(known spec.Problems) spec.Problems {
	seen := map[spec.Problem]bool{}
	for _, k := range known {
		seen[k] = true
	}
	var out spec.Problems
	left := 0
	for i := range p.Chunks {
		for _, problem := range p.Chunks[i].Problems {
			switch {
			case seen[problem]:
				continue
			case len(out) == maxChunkProblems:
				left++
			default:
				out = append(out, problem)
			}
			seen[problem] = true
		}
	}
	if left > 0 {
		out = append(out, spec.Problem{Path: "interval", Message: fmt.Sprintf(
			"%d more problems of the chunks in it are not listed: ask for a shorter interval to see them", left)})
	}
	return out
}

// hasData: chunks below the retention floor count as none.
func (p *TaskPlan) hasData() bool {
	for i := range p.Chunks {
		if !p.Chunks[i].Before.Dropped {
			return true
		}
	}
	return false
}

func noSegmentsMessage(t *spec.Task, plan *TaskPlan) string {
	where := make([]string, len(t.Intervals))
	for i, interval := range t.Intervals {
		where[i] = interval.String()
	}
	text := fmt.Sprintf("%v: %s holds no data in %s", ErrNoSegments, t.DataSource, strings.Join(where, ", "))
	if len(plan.Chunks) > 0 {
		text += ", but for chunks that the retention floor has dropped"
	}
	return text
}

// planTask plans every chunk that touches the span. Problems are those of the task as a whole; each chunk has its own beside.
// The plan is nil where nothing could be planned at all.
func planTask(view *catalog.View, t *spec.Task, within spec.Interval) (*TaskPlan, spec.Problems) {
	ds := view.Datasources[t.DataSource]
	if ds == nil {
		return nil, spec.Problems{{Path: "dataSource", Message: fmt.Sprintf("datasource %q does not exist", t.DataSource)}}
	}
	if ds.Schema == nil {
		return nil, spec.Problems{{Path: "dataSource", Message: fmt.Sprintf("datasource %q has no schema yet", t.DataSource)}}
	}
	if t.Type == spec.TaskKill {
		return &TaskPlan{}, nil
	}
	intervals, problems := taskIntervals(ds, t)
	r, more := newRequest(ds, t.Change, t.Tuning)
	problems = append(problems, more...)
	r.allowUnaligned, r.acknowledgedMillis = t.AllowNonAlignedInterval, view.AcknowledgedDedupFloor(t.DataSource)
	r.policy, r.intervals = Policy(t.Policy), intervals
	r.keepPartition = r.policy != "" // a standing policy leaves alone what its config does not speak of
	if r.policy == PolicyRecent {
		r.keepAll()
	}
	out := &TaskPlan{Warnings: r.warnings}
	if t.Type == spec.TaskMarkUnused {
		for _, c := range existingChunks(ds, intervals, within) {
			out.Chunks = append(out.Chunks, r.planDiscard(ds, c))
		}
	} else {
		chunks, more := r.chunks(ds, intervals, within)
		problems = append(problems, more...)
		for _, c := range chunks {
			out.Chunks = append(out.Chunks, r.planChunk(ds, c))
		}
	}
	out.Empty = emptyParts(intervals, out.Chunks)
	return out, problems
}

// request is what a compaction asks for, whether a task asks or a standing policy.
type request struct {
	policy      Policy
	intervals   []spec.Interval   // joined
	granularity *spec.Granularity // nil: chunks stay as they are
	change      rollup.Change
	changes     bool     // change asks for something
	maxRows     int64    // per segment
	targetBytes int64    // of a segment
	partition   []string // nil: by size alone
	// keepPartition leaves ranges that an earlier compaction cut as they are, where partition says nothing.
	keepPartition  bool
	allowUnaligned bool
	// acknowledgedMillis is the dedup floor that every partition has acknowledged; 0: none.
	acknowledgedMillis int64
	warnings           []string
	plans              map[string]plan // by their stored form: chunks share few
}

// plan is a stored plan, read.
type plan struct {
	definition *rollup.Definition // nil: rows as ingested
	canonical  []byte             // nil: rows as ingested
}

// newRequest reads what the documents of a task or of a config say. What cannot be read is a problem and left out of the
// request, so that a caller finds what else is wrong.
func newRequest(ds *catalog.DatasourceView, c spec.CompactionChange, t spec.CompactionTuning) (*request, spec.Problems) {
	r := &request{
		plans: map[string]plan{}, granularity: c.SegmentGranularity, maxRows: t.MaxRowsPerSegment, targetBytes: t.TargetSegmentBytes,
		partition: t.PartitionDimensions,
	}
	if r.maxRows <= 0 {
		r.maxRows = defaultMaxRowsPerSegment
	}
	if r.targetBytes <= 0 {
		r.targetBytes = defaultTargetSegmentBytes
	}
	r.maxRows, r.targetBytes = min(r.maxRows, noLimit), min(r.targetBytes, noLimit)
	d := readDocuments(c.Metrics, c.Filter)
	r.warnings = d.warnings
	r.change = rollup.Change{
		QueryGranularity: c.QueryGranularity, Rollup: c.Rollup, SortBy: c.SortBy, Exclusions: c.Exclusions, Metrics: d.metrics,
		Filter: d.filter,
	}
	problems := append(r.readDimensions(ds.Schema, c.Dimensions), d.problems...)
	r.changes = c.QueryGranularity != nil || c.Rollup != nil || c.Dimensions != nil || c.SortBy != nil ||
		c.Exclusions != nil || r.change.Metrics != nil || r.change.Filter != nil
	return r, problems
}

// readDimensions takes the names of the dimensions. A published column's type is final; a name alone leaves it.
func (r *request) readDimensions(s *segment.Schema, dimensions []spec.Dimension) spec.Problems {
	if dimensions == nil {
		return nil
	}
	var problems spec.Problems
	r.change.Dimensions = make([]string, 0, len(dimensions))
	for i, d := range dimensions {
		r.change.Dimensions = append(r.change.Dimensions, d.Name)
		for _, c := range s.Columns {
			if c.Name == d.Name && d.Type != "" && string(c.Type) != string(d.Type) {
				problems = append(problems, spec.Problem{
					Path: fmt.Sprintf("dimensionsSpec.dimensions[%d]", i),
					Message: fmt.Sprintf("the column %q is of type %s for ever: write {\"type\": %q, \"name\": %q}", d.Name, c.Type,
						c.Type, d.Name),
				})
			}
		}
	}
	return problems
}

// keepAll takes back what would change layout or plan.
func (r *request) keepAll() {
	r.granularity, r.change, r.changes, r.keepPartition = nil, rollup.Change{}, false, true
	r.partition = nil
}

// problemsOf makes a problem of each of the errors that err joins.
func problemsOf(path string, err error) spec.Problems {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		var out spec.Problems
		for _, e := range joined.Unwrap() {
			out = append(out, problemsOf(path, e)...)
		}
		return out
	}
	var problems spec.Problems
	if errors.As(err, &problems) {
		return problems
	}
	return spec.Problems{{Path: path, Message: err.Error()}}
}
