package coordinator

import (
	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
)

// layoutMetrics show, when they are asked, what only the newest view tells: how well each datasource's time chunks are compacted,
// and what its floors hide.
type layoutMetrics struct {
	catalog                     *catalog.Catalog
	most, retention, dedup, old *prometheus.Desc
}

func newLayoutMetrics(c *catalog.Catalog) *layoutMetrics {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("drumlin_coordinator_"+name, help, []string{"datasource"}, nil)
	}
	return &layoutMetrics{
		catalog:   c,
		most:      desc("chunk_segments_max", "Committed segments of the time chunk that has most of them."),
		retention: desc("retention_floor_seconds", "Start of what retention keeps, in seconds since 1970; absent: everything is kept."),
		dedup:     desc("dedup_floor_seconds", "Start of what records may still bring rows for, in seconds since 1970; absent: no horizon."),
		old:       desc("oldest_chunk_seconds", "Start of the oldest time chunk that has rows, in seconds since 1970."),
	}
}

// Describe implements prometheus.Collector.
func (m *layoutMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.most, m.retention, m.dedup, m.old} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *layoutMetrics) Collect(out chan<- prometheus.Metric) {
	for name, ds := range m.catalog.View().Datasources {
		most, oldest := 0, int64(-1)
		for _, b := range ds.Buckets {
			n := len(b.Settled) + len(b.Tail)
			most = max(most, n)
			if n > 0 && oldest < 0 {
				oldest = b.Bucket.StartMillis
			}
		}
		out <- prometheus.MustNewConstMetric(m.most, prometheus.GaugeValue, float64(most), name)
		for _, g := range []struct {
			desc   *prometheus.Desc
			millis int64
			known  bool
		}{
			{m.retention, ds.RetentionFloorMillis, ds.RetentionFloorMillis != 0},
			{m.dedup, ds.DedupFloorMillis, ds.DedupFloorMillis != 0},
			{m.old, oldest, oldest >= 0},
		} {
			if g.known {
				out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(g.millis)/1000, name)
			}
		}
	}
}
