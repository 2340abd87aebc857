package query

import (
	"github.com/prometheus/client_golang/prometheus"
)

// chunkMetrics tells what each datasource consists of, at the newest view when it is asked.
type chunkMetrics struct {
	catalog Catalog
	gauges  []chunkGauge
}

type chunkGauge struct {
	desc  *prometheus.Desc
	value func(f *chunkFigures) any // a number; nil: none
}

func newChunkMetrics(c Catalog) *chunkMetrics {
	m := &chunkMetrics{catalog: c}
	add := func(name, help string, value func(f *chunkFigures) any) {
		m.gauges = append(m.gauges, chunkGauge{prometheus.NewDesc("drumlin_datasource_"+name, help, []string{"datasource"}, nil), value})
	}
	add("chunks", "Time chunks, or groups of them compacted together.", func(f *chunkFigures) any { return f.chunks })
	add("segments", "Committed segments.", func(f *chunkFigures) any { return f.segments })
	add("tail_segments", "Committed segments that have not been compacted with the others of their time chunk.",
		func(f *chunkFigures) any { return f.tailSegments })
	add("rows", "Rows of committed segments.", func(f *chunkFigures) any { return f.rows })
	add("bytes", "Bytes of committed segments.", func(f *chunkFigures) any { return f.bytes })
	add("events", "Records that the rows of committed segments stand for.", func(f *chunkFigures) any { return f.events })
	add("rollup_ratio", "Records by rows of committed segments.", (*chunkFigures).rollupRatio)
	add("sidecar_bytes", "Bytes of the identities of rows that are no longer there one by one.",
		func(f *chunkFigures) any { return f.sidecarBytes })
	add("ingested_bytes", "Bytes of the segments that ingestion has committed.", func(f *chunkFigures) any { return f.totals.AbsorbedBytes })
	add("compacted_bytes", "Bytes that compaction has written.", func(f *chunkFigures) any { return f.totals.WrittenBytes })
	add("write_amplification", "How many bytes compaction has written for each one that was ingested.", (*chunkFigures).writeAmplification)
	add("duplicates_removed", "Records that compaction has removed as copies of others.",
		func(f *chunkFigures) any { return f.totals.Duplicates })
	add("filtered_removed", "Records that compaction has removed by filters, or as marked unused.",
		func(f *chunkFigures) any { return f.totals.Filtered })
	return m
}

// Describe is prometheus.Collector's.
func (m *chunkMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, g := range m.gauges {
		out <- g.desc
	}
}

// Collect is prometheus.Collector's.
func (m *chunkMetrics) Collect(out chan<- prometheus.Metric) {
	view := m.catalog.View()
	if view == nil { // nothing has been read yet
		return
	}
	for name, ds := range view.Datasources {
		var f chunkFigures
		for _, b := range ds.Buckets {
			f.add(b)
		}
		for _, g := range m.gauges {
			switch v := g.value(&f).(type) {
			case int64:
				out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(v), name)
			case float64:
				out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v, name)
			}
		}
	}
}
