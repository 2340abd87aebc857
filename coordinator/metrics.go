package coordinator

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
)

// clusterMetrics show this process's part in the cluster. A nil *clusterMetrics shows nothing.
type clusterMetrics struct {
	moves    *prometheus.CounterVec // by direction
	sessions prometheus.Counter
	leave    prometheus.Gauge
	hurried  prometheus.Counter

	mu      sync.Mutex
	current *catalog.Session // nil: none
}

func newClusterMetrics(r prometheus.Registerer, owned, unable func() float64) (*clusterMetrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &clusterMetrics{
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drumlin_coordinator_partition_moves_total", Help: "Partitions that this process acquired or released.",
		}, []string{"direction"}),
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drumlin_sessions_total", Help: "Registrations of this process: each after the first follows a lost lease.",
		}),
		leave: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "drumlin_coordinator_leaving", Help: "1 while this process hands over what it reads because it stops.",
		}),
		hurried: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "drumlin_coordinator_unfinished_releases_total",
			Help: "Partitions that this process released before their last handoff was done: their rows are read again.",
		}),
	}
	all := []prometheus.Collector{
		m.moves, m.sessions, m.leave, m.hurried,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drumlin_coordinator_unable_supervisors",
			Help: "Supervisors whose brokers do not answer this process, so that others read their partitions where any can.",
		}, unable),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drumlin_coordinator_partitions_owned", Help: "Partitions that this process owns.",
		}, owned),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drumlin_session_registered", Help: "1 while this process is registered in the catalog.",
		}, func() float64 { return number(m.session() != nil) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "drumlin_session_doubtful",
			Help: "1 while the lease could not be renewed for a whole life of it, because the catalog's store does not answer.",
		}, m.doubtful),
	}
	for _, direction := range []string{"acquired", "released"} {
		m.moves.WithLabelValues(direction)
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *clusterMetrics) session() *catalog.Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

func (m *clusterMetrics) doubtful() float64 {
	s := m.session()
	if s == nil {
		return 0
	}
	_, is := s.Doubtful()
	return number(is)
}

// under notes the session that begins; nil: one has ended.
func (m *clusterMetrics) under(s *catalog.Session) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s != nil {
		m.sessions.Inc()
	}
	m.current = s
}

func (m *clusterMetrics) moved(direction string) {
	if m != nil {
		m.moves.WithLabelValues(direction).Inc()
	}
}

func (m *clusterMetrics) leaving() {
	if m != nil {
		m.leave.Set(1)
	}
}

func (m *clusterMetrics) unfinished() {
	if m != nil {
		m.hurried.Inc()
	}
}
