package coordinator

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/compaction"
)

// taskMetrics show what becomes of tasks, and what policies see. Those that Druid has too have Druid's names, with underscores for
// slashes, and its labels. A nil *taskMetrics counts nothing.
type taskMetrics struct {
	success, failed, retried           *prometheus.CounterVec // by datasource and type
	running, pending, waiting          *prometheus.GaugeVec   // by datasource
	slotsTotal, slotsUsed, slotsIdle   prometheus.Gauge
	runTime, pendingTime               *prometheus.HistogramVec // by datasource and type
	submitted                          *prometheus.CounterVec   // by datasource and policy
	nukedObjects, nukedBytes, dropped  prometheus.Counter
	waitingBytes, doneBytes, skipBytes *prometheus.GaugeVec // by datasource and policy
	waitingChunks, doneChunks, skipped *prometheus.GaugeVec // by datasource and policy
	dutyFailures                       *prometheus.CounterVec
	dutyHolder                         prometheus.Gauge
}

func newTaskMetrics(r prometheus.Registerer) (*taskMetrics, error) {
	if r == nil {
		return nil, nil
	}
	var all []prometheus.Collector
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		all = append(all, c)
		return c
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		all = append(all, g)
		return g
	}
	times := func(name, help string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.05, 3, 12),
		}, []string{"dataSource", "taskType"})
		all = append(all, h)
		return h
	}
	gauge := func(name, help string) prometheus.Gauge { return gauges(name, help).WithLabelValues() }
	counter := func(name, help string) prometheus.Counter { return counters(name, help).WithLabelValues() }
	m := &taskMetrics{
		success:       counters("task_success_count", "Tasks that ended well here.", "dataSource", "taskType"),
		failed:        counters("task_failed_count", "Tasks that failed here, cancelled ones included.", "dataSource", "taskType"),
		retried:       counters("task_retry_count", "Attempts after which a task waits for the next one.", "dataSource", "taskType"),
		running:       gauges("task_running_count", "Tasks that run in the cluster.", "dataSource"),
		pending:       gauges("task_pending_count", "Tasks that wait for a slot.", "dataSource"),
		waiting:       gauges("task_waiting_count", "Tasks that wait for the time of their next attempt.", "dataSource"),
		slotsTotal:    gauge("taskSlot_total_count", "Tasks that may run at a time in the cluster."),
		slotsUsed:     gauge("taskSlot_used_count", "Slots in use."),
		slotsIdle:     gauge("taskSlot_idle_count", "Slots that are free."),
		runTime:       times("task_run_time", "Seconds of one attempt."),
		pendingTime:   times("task_pending_time", "Seconds from submission to the first attempt."),
		submitted:     counters("compact_task_count", "Compaction tasks that a policy submitted.", "dataSource", "policy"),
		nukedObjects:  counter("segment_nuked_count", "Objects deleted because nothing shows them any more."),
		nukedBytes:    counter("segment_nuked_bytes", "Their bytes."),
		dropped:       counter("segment_dropped_count", "Time chunks that retention rules dropped."),
		waitingBytes:  gauges("interval_waitCompact_bytes", "Bytes of chunks that are worth compacting.", "dataSource", "policy"),
		doneBytes:     gauges("interval_compacted_bytes", "Bytes of chunks that need nothing.", "dataSource", "policy"),
		skipBytes:     gauges("interval_skipCompact_bytes", "Bytes of chunks that are left alone for now.", "dataSource", "policy"),
		waitingChunks: gauges("interval_waitCompact_count", "Chunks that are worth compacting.", "dataSource", "policy"),
		doneChunks:    gauges("interval_compacted_count", "Chunks that need nothing.", "dataSource", "policy"),
		skipped:       gauges("interval_skipCompact_count", "Chunks that are left alone for now.", "dataSource", "policy"),
		dutyHolder:    gauge("drumlin_coordinator_duties", "1 while this process has the standing duties of the cluster."),
		dutyFailures:  counters("drumlin_coordinator_duty_failures_total", "Rounds of a standing duty that failed and come again.", "duty"),
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// waited notes that a task begins its first attempt.
func (m *taskMetrics) waited(t *catalog.Task) {
	if m != nil && t.Attempt == 1 {
		m.pendingTime.WithLabelValues(t.Datasource, t.Type).Observe(seconds(t.StartedMillis - t.CreatedMillis))
	}
}

// attemptEnded notes how an attempt ended.
func (m *taskMetrics) attemptEnded(t *catalog.Task, took time.Duration) {
	if m == nil {
		return
	}
	m.runTime.WithLabelValues(t.Datasource, t.Type).Observe(took.Seconds())
	m.ended(t)
}

// ended counts a task's state after an attempt, or without one.
func (m *taskMetrics) ended(t *catalog.Task) {
	if m == nil {
		return
	}
	switch t.State {
	case catalog.TaskSuccess:
		m.success.WithLabelValues(t.Datasource, t.Type).Inc()
	case catalog.TaskFailed:
		m.failed.WithLabelValues(t.Datasource, t.Type).Inc()
	case catalog.TaskWaiting:
		m.retried.WithLabelValues(t.Datasource, t.Type).Inc()
	case catalog.TaskRunning:
	}
}

// duties says whether this process has the standing duties. Only then does it show the cluster's tasks: what it has shown before
// would be taken for the cluster's.
func (m *taskMetrics) duties(has bool) {
	if m == nil {
		return
	}
	m.dutyHolder.Set(number(has))
	if has {
		return
	}
	for _, g := range []*prometheus.GaugeVec{
		m.running, m.pending, m.waiting, m.waitingBytes, m.doneBytes, m.skipBytes, m.waitingChunks, m.doneChunks, m.skipped,
	} {
		g.Reset()
	}
	for _, g := range []prometheus.Gauge{m.slotsTotal, m.slotsUsed, m.slotsIdle} {
		g.Set(0)
	}
}

// queue shows the cluster's tasks.
func (m *taskMetrics) queue(tasks map[string]*catalog.TaskView, slots int, nowMillis int64) {
	if m == nil {
		return
	}
	for _, g := range []*prometheus.GaugeVec{m.running, m.pending, m.waiting} {
		g.Reset()
	}
	used := 0
	for _, t := range tasks {
		switch {
		case t.State.Finished():
		case t.Claimed:
			used++
			m.running.WithLabelValues(t.Datasource).Inc()
		case t.NotBeforeMillis > nowMillis:
			m.waiting.WithLabelValues(t.Datasource).Inc()
		default:
			m.pending.WithLabelValues(t.Datasource).Inc()
		}
	}
	m.slotsTotal.Set(float64(slots))
	m.slotsUsed.Set(float64(used))
	m.slotsIdle.Set(float64(max(slots-used, 0)))
}

func (m *taskMetrics) policySubmitted(datasource, policy string) {
	if m != nil {
		m.submitted.WithLabelValues(datasource, policy).Inc()
	}
}

// chunks shows what a policy makes of a datasource's chunks.
func (m *taskMetrics) chunks(datasource, policy string, decisions []compaction.Decision) {
	if m == nil {
		return
	}
	var bytes, chunks [3]int64
	for i := range decisions {
		class := 1
		switch {
		case decisions[i].Chosen:
			class = 0
		case decisions[i].Skipped:
			class = 2
		}
		bytes[class] += decisions[i].Bytes
		chunks[class]++
	}
	for i, g := range []*prometheus.GaugeVec{m.waitingBytes, m.doneBytes, m.skipBytes} {
		g.WithLabelValues(datasource, policy).Set(float64(bytes[i]))
	}
	for i, g := range []*prometheus.GaugeVec{m.waitingChunks, m.doneChunks, m.skipped} {
		g.WithLabelValues(datasource, policy).Set(float64(chunks[i]))
	}
}

func (m *taskMetrics) chunksDropped(n int) {
	if m != nil {
		m.dropped.Add(float64(n))
	}
}

func (m *taskMetrics) collected(objects, bytes int64) {
	if m != nil {
		m.nukedObjects.Add(float64(objects))
		m.nukedBytes.Add(float64(bytes))
	}
}

func (m *taskMetrics) dutyFailed(duty string) {
	if m != nil {
		m.dutyFailures.WithLabelValues(duty).Inc()
	}
}

func seconds(millis int64) float64 { return max(float64(millis)/1000, 0) }
