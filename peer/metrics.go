package peer

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/internal/secure"
	"drumlin/segment"
)

// metrics counts requests of one side of the wire. A nil *metrics counts nothing.
type metrics struct {
	requests    *prometheus.CounterVec // kind, outcome
	seconds     *prometheus.HistogramVec
	rows, bytes prometheus.Counter
}

func newMetrics(r prometheus.Registerer, side string, more ...prometheus.Collector) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "drumlin_peer_" + side + "_" + name + "_total", Help: help})
	}
	kinds := []string{"kind", "outcome"}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "drumlin_peer_" + side + "_requests_total", Help: "Requests between processes, by kind and by what came of them.",
		}, kinds),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "drumlin_peer_" + side + "_request_seconds", Help: "Time of requests between processes.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 10),
		}, kinds),
		rows:  counter("hot_rows", "Hot rows that have gone over the wire, rejects included."),
		bytes: counter("hot_bytes", "Bytes of hot rows that have gone over the wire."),
	}
	var errs []error
	for _, c := range append([]prometheus.Collector{m.requests, m.seconds, m.rows, m.bytes}, more...) {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) done(kind string, begun time.Time, err error) {
	if m == nil {
		return
	}
	how := outcome(err)
	m.requests.WithLabelValues(kind, how).Inc()
	m.seconds.WithLabelValues(kind, how).Observe(time.Since(begun).Seconds())
}

func (m *metrics) moved(rows, bytes int64) {
	if m == nil {
		return
	}
	m.rows.Add(float64(rows))
	m.bytes.Add(float64(bytes))
}

// outcome puts errors into few classes.
func outcome(err error) string {
	var hot *segment.HotUnavailable
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &hot):
		return "unavailable"
	case errors.Is(err, ErrUnreachable):
		return "unreachable"
	case errors.Is(err, secure.ErrUnauthenticated), errors.Is(err, secure.ErrForbidden), errors.Is(err, ErrPlainToken):
		return "denied"
	case errors.Is(err, ErrMalformed):
		return "malformed"
	}
	for _, refused := range []error{
		consumer.ErrNotRunning, consumer.ErrHalted, consumer.ErrNotHalted, consumer.ErrOtherLoss, consumer.ErrClosed,
		catalog.ErrFenced, catalog.ErrConflict, ErrNoLog,
	} {
		if errors.Is(err, refused) {
			return "refused"
		}
	}
	return "failed"
}
