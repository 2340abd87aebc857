package consumer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestFreshness(t *testing.T) {
	now := time.UnixMilli(100_000)
	for _, c := range []struct {
		name   string
		lag    int64
		newest int64
		age    time.Duration
		known  bool
	}{
		{"caught up, however long ago the last record was", 0, 1, 0, true},
		{"behind", 5, 90_000, 10 * time.Second, true},
		{"behind a producer whose clock is ahead", 5, 101_000, 0, true},
		{"the end is not known", -1, 90_000, 0, false},
		{"nothing has been read", 5, 0, 0, false},
	} {
		if age, known := freshness(&PartitionStatus{Lag: c.lag}, c.newest, now); age != c.age || known != c.known {
			t.Errorf("%s: %s, %t", c.name, age, known)
		}
	}
}

func TestGaugesShowWhatIsReadNow(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	r := newRig(t, func(o *Options) { o.Registerer, o.MaxHotBytes = registry, 1<<30 })
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(10)
	r.waitFor("the end of the log", func(s PartitionStatus) bool { return s.Lag == 0 })
	partition := `partition="0" supervisor="t" topic="t"`
	for name, want := range map[string]float64{
		"ingest_kafka_partitionLag " + partition: 0, "drumlin_ingest_freshness_seconds " + partition: 0,
		"drumlin_ingest_halted " + partition: 0, "drumlin_ingest_paused " + partition: 0, "drumlin_ingest_hot_rows " + partition: 10,
		"drumlin_ingest_hot_budget_bytes ": 1 << 30,
	} {
		if got, ok := gather(t, registry)[name]; !ok || got != want {
			t.Errorf("%s is %v (%t), not %v", name, got, ok, want)
		}
	}
	r.handoff(10)
	if got := gather(t, registry); got["drumlin_ingest_handoff_rows_total "+partition] != 10 || got["drumlin_ingest_handoff_bytes_total "+partition] <= 0 {
		t.Errorf("after a handoff: %v", got)
	}
	r.stop(false)
	for name := range gather(t, registry) {
		if strings.HasPrefix(name, "ingest_kafka_partitionLag") || strings.HasPrefix(name, "drumlin_ingest_halted") {
			t.Errorf("%s is shown of a partition that is not read any more", name)
		}
	}
}

// TestAnOpenTransactionShows: what it holds back is no lag, for nobody may read it; so it has gauges of its own.
func TestAnOpenTransactionShows(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	r := newRig(t, func(o *Options) { o.Registerer = registry })
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(10)
	partition := `partition="0" supervisor="t" topic="t"`
	if got := gather(t, registry)["drumlin_ingest_undecided_records "+partition]; got != 0 {
		t.Errorf("%v records are undecided without a transaction", got)
	}
	tx, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.TransactionalID("x"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r.must(err)
	defer tx.Close()
	r.must(tx.BeginTransaction())
	r.must(tx.ProduceSync(t.Context(), &kgo.Record{
		Topic: "t", Value: []byte(event("open", 1, baseMillis)), Timestamp: time.UnixMilli(baseMillis),
	}).FirstErr())
	r.produceEvents(10, 5) // behind the transaction's record
	s := r.waitFor("undecided records", func(s PartitionStatus) bool { return s.Undecided == 6 })
	if s.Position != 10 || s.Lag != 0 || s.UndecidedSince.IsZero() {
		t.Errorf("status %+v", s)
	}
	if got := gather(t, registry); got["drumlin_ingest_undecided_records "+partition] != 6 || got["drumlin_ingest_undecided_seconds "+partition] <= 0 {
		t.Errorf("an open transaction does not show: %v", got)
	}
	r.must(tx.EndTransaction(t.Context(), kgo.TryAbort))
	r.waitPosition(17)
	if s := r.waitFor("a decision", func(s PartitionStatus) bool { return s.Undecided == 0 }); !s.UndecidedSince.IsZero() {
		t.Errorf("status %+v", s)
	}
	if got := gather(t, registry)["drumlin_ingest_undecided_seconds "+partition]; got != 0 {
		t.Errorf("undecided for %v s after the transaction's end", got)
	}
}

// gather returns the values of counters and gauges by name and labels.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			out[f.GetName()+" "+strings.Join(labels, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}
