package compaction

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/segment"
)

// execution is one running job. Its passes run one after the other; what they share in parts is guarded where it stands.
type execution struct {
	e        *Executor
	job      *Job
	naming   Naming
	mem      *meter
	plan     *rollup.BucketPlan
	folds    bool // the output is folded
	group    segment.Bucket
	sources  []segment.OffsetRange // of every output segment
	fetched  *os.File              // all inputs, one after the other
	inputs   []*input
	sidecars []*input
	ids      idsOutput
	stats    Stats
	reported progressReport
	writers  *segmentWriters
}

// begin checks the job and opens what it needs; end gives it back.
func (e *Executor) begin(job *Job, n Naming, progress func(done, total int64)) (*execution, error) {
	if err := job.check(); err != nil {
		return nil, err
	}
	x := &execution{
		e: e, job: job, naming: n, mem: &meter{inner: e.o.Allocator},
		group: segment.Bucket{StartMillis: job.Buckets[0].StartMillis, EndMillis: job.Buckets[len(job.Buckets)-1].EndMillis},
	}
	var err error
	if x.plan, err = job.Definition.Compile(job.Schema); err != nil {
		return nil, fmt.Errorf("its plan: %w", err)
	}
	x.collectInputs()
	if x.folds, err = x.decideFold(); err != nil {
		return nil, err
	}
	x.reported = progressReport{tell: progress, total: x.stats.InputRows * x.passes()}
	x.writers = newSegmentWriters(x)
	if x.fetched, err = segment.TempFile(e.o.TempDir); err != nil {
		return nil, err
	}
	return x, nil
}

func (x *execution) end() error { return x.fetched.Close() }

// check refuses what no planner makes.
func (j *Job) check() error {
	if j.Schema == nil || len(j.Buckets) == 0 {
		return errors.New("it has no schema or no buckets")
	}
	if err := j.Schema.Validate(); err != nil {
		return err
	}
	for i, b := range j.Buckets {
		if b.StartMillis >= b.EndMillis || i > 0 && j.Buckets[i-1].EndMillis != b.StartMillis {
			return fmt.Errorf("its bucket at %s is empty or does not follow the one before", time.UnixMilli(b.StartMillis).UTC().Format(time.RFC3339))
		}
	}
	switch j.Mode {
	case ModeFull, ModeTail, ModeDiscard:
	default:
		return fmt.Errorf("mode %q is not the executor's", j.Mode)
	}
	if j.MaxRowsPerSegment < 0 || j.TargetSegmentBytes < 0 {
		return fmt.Errorf("segments of %d rows or %d bytes", j.MaxRowsPerSegment, j.TargetSegmentBytes)
	}
	return nil
}

// place names the job in errors.
func (j *Job) place() string {
	if j == nil || len(j.Buckets) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%s (%s) of %s from %s", j.Datasource, j.Mode,
		time.UnixMilli(j.Buckets[len(j.Buckets)-1].EndMillis).UTC().Format(time.RFC3339),
		time.UnixMilli(j.Buckets[0].StartMillis).UTC().Format(time.RFC3339))
}

// collectInputs lists what is read: in ModeTail the tail alone.
func (x *execution) collectInputs() {
	var metas []segment.Meta
	if x.job.Mode != ModeTail {
		metas = append(metas, x.job.Settled...)
	}
	for _, t := range x.job.Tail {
		metas = append(metas, t.Meta)
	}
	// One order of inputs, however the planner found them, makes the work repeatable.
	slices.SortStableFunc(metas, func(a, b segment.Meta) int { return cmp.Compare(a.Object, b.Object) })
	for _, m := range metas {
		x.inputs = append(x.inputs, &input{meta: m, number: len(x.inputs), size: m.Bytes, sum: m.SHA256, object: m.Object, rows: m.Rows})
		x.stats.InputSegments++
		x.stats.InputRows += m.Rows
		x.stats.InputBytes += m.Bytes
		x.stats.InputEvents += m.InputRows()
	}
	x.sources = hull(metas)
	if x.job.Mode == ModeTail {
		return
	}
	for _, s := range x.job.Sidecars {
		x.sidecars = append(x.sidecars, &input{object: s.Object, size: s.Bytes, sum: s.SHA256, rows: s.Rows})
	}
}

// decideFold says whether the output is folded, and refuses inputs that cannot become what the job asks for.
func (x *execution) decideFold() (bool, error) {
	rolls := x.plan.Metrics() != nil
	for _, in := range x.inputs {
		if !in.meta.Folded {
			continue
		}
		if !rolls {
			return false, fmt.Errorf("segment %s is folded, and the plan has no rollup", in.object)
		}
		if x.job.Schema.Dedup && x.job.Mode == ModeTail {
			return false, fmt.Errorf("segment %s is folded and in the tail of a datasource with dedup: its identities are not known", in.object)
		}
	}
	// With dedup the tail stays raw: its rows have not been compared with the bucket's other identities.
	return rolls && x.job.Mode != ModeDiscard && (x.job.Mode == ModeFull || !x.job.Schema.Dedup), nil
}

// hull is the smallest range of offsets, for each partition, that holds all of the inputs'.
func hull(metas []segment.Meta) []segment.OffsetRange {
	type partition struct {
		topic                 string
		generation, partition int32
	}
	ranges := map[partition]segment.OffsetRange{}
	for i := range metas {
		for _, s := range metas[i].Sources {
			key := partition{s.Topic, s.Generation, s.Partition}
			if r, ok := ranges[key]; ok {
				s.From, s.To = min(s.From, r.From), max(s.To, r.To)
			}
			ranges[key] = s
		}
	}
	out := make([]segment.OffsetRange, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b segment.OffsetRange) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

// output describes what was written, and proves that no record has got lost on the way.
func (x *execution) output() (*Output, error) {
	out := &Output{Sidecars: x.ids.sidecars}
	for _, in := range x.inputs {
		out.Consumed = append(out.Consumed, in.object)
	}
	if x.ids.replaced {
		for _, s := range x.sidecars {
			out.Consumed = append(out.Consumed, s.object)
		}
	}
	unit := uuid.NewString()
	for _, m := range x.writers.done {
		x.stats.OutputSegments++
		x.stats.OutputRows += m.Rows
		x.stats.OutputBytes += m.Bytes
		x.stats.OutputEvents += m.InputRows()
		if x.job.Mode == ModeTail {
			out.Adopted = append(out.Adopted, catalog.TailSegment{Meta: m, Unit: unit})
		} else {
			out.Settled = append(out.Settled, m)
		}
	}
	x.stats.PeakBytes = x.mem.peak.Load()
	out.Stats = x.stats
	if s := &out.Stats; s.InputEvents != s.OutputEvents+s.Duplicates+s.Filtered {
		return nil, fmt.Errorf("%d records went in, %d came out, %d were copies and %d filtered: the difference is a fault of this program",
			s.InputEvents, s.OutputEvents, s.Duplicates, s.Filtered)
	}
	x.reported.finish()
	return out, nil
}

// passes is how often a row is counted in progress: each time it is read, and when it is written.
func (x *execution) passes() int64 {
	n := int64(2)
	if x.comparesIDs() {
		n++
	}
	return n
}

// progressReport tells how far a job is. It is used by one goroutine.
type progressReport struct {
	tell        func(done, total int64)
	done, total int64
}

func (p *progressReport) add(rows int64) {
	p.done = min(p.done+rows, p.total)
	if p.tell != nil {
		p.tell(p.done, p.total)
	}
}

func (p *progressReport) finish() { p.add(p.total) }
