package deploy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/internal/testkit"
	"drumlin/objectstore/s3"
	"drumlin/peer"
	"drumlin/tests/harness"
)

// labelSet holds names of labels.
type labelSet map[string]bool

func labels(names ...string) labelSet {
	out := labelSet{}
	for _, name := range names {
		out[name] = true
	}
	return out
}

// scrapeLabels are what Prometheus adds to every sample, by deploy/prometheus/prometheus.yml.
func scrapeLabels() labelSet { return labels("job", "instance", "role") }

// rare are metrics that show nothing until something happens that a short test cannot bring about, or that lasts too short for it
// to see. Their names must occur in the source of the program.
func rare() map[string]labelSet {
	task := labels("dataSource", "taskType")
	return map[string]labelSet{
		"ingest_handoff_failed":                   labels("supervisor", "topic", "partition"), // the object store or etcd refuses
		"task_failed_count":                       task,                                       // a task gives up
		"task_retry_count":                        task,                                       // a task waits for another attempt
		"drumlin_coordinator_duty_failures_total": labels("duty"),                             // etcd or the object store refuses
		"task_running_count":                      labels("dataSource"),                       // only while a task runs
		"task_pending_count":                      labels("dataSource"),                       // only while all slots are taken
		"task_waiting_count":                      labels("dataSource"),                       // only between two attempts
	}
}

// exported keeps what metrics has found, for all tests of a run.
var exported struct {
	sync.Mutex
	metrics  map[string]labelSet
	families []*dto.MetricFamily // drumlin's own, as they were seen
}

// metrics returns every metric that processes of a cluster show, with its labels: those of a drumlin that has ingested, handed
// off, compacted and answered, those of the parts that only a cluster has, and etcd's own.
func metrics(t *testing.T) map[string]labelSet {
	t.Helper()
	exported.Lock()
	defer exported.Unlock()
	if exported.metrics != nil {
		return exported.metrics
	}
	all := map[string]labelSet{"up": {}}
	exported.families = slices.Concat(slices.Collect(maps.Values(families(t, busyDev(t)))), describedParts(t))
	for _, family := range exported.families {
		put(all, family)
	}
	for _, family := range families(t, startEtcd(t)) {
		put(all, family)
	}
	source := programSource(t)
	for name, names := range rare() {
		if !strings.Contains(source, `"`+name+`"`) {
			t.Errorf("the program has no metric %s", name)
		}
		all[name] = names
	}
	exported.metrics = all
	return all
}

// busyDev runs a process with all roles, makes it do a little of everything, and returns its host:port.
func busyDev(t *testing.T) string {
	t.Helper()
	d := harness.Started(t, binary, "--recent-every", "200ms", "--historical-every", "300ms", "--collect-every", "300ms")
	d.CreateTopic(t, "events", 2)
	d.Apply(t, repoFile(t, "configs/specs/events.yaml"))
	d.Set(t, "/druid/coordinator/v1/config/compaction", `{"dataSource":"events","skipOffsetFromLatest":"P30D"}`)
	hour := time.Now().UTC().Truncate(time.Hour).Add(-48 * time.Hour)
	records := []*kgo.Record{{Topic: "events", Partition: 1, Value: []byte("not JSON")}}
	for i := range 60 {
		text := fmt.Sprintf(`{"messageId":"m%d","timestamp":%q,"event":"view","type":"track"}`, i%50, hour.Format(time.RFC3339))
		records = append(records, &kgo.Record{Topic: "events", Partition: int32(i % 2), Value: []byte(text)})
	}
	client := d.Client(t)
	harness.Produce(t, client, records...)
	d.WaitSQL(t, "SELECT COUNT(*) AS n FROM events", 50, patience)
	d.Handoff(t, "events")
	d.Submit(t, `{"type":"compact","dataSource":"events","ioConfig":{"type":"compact","inputSpec":{"type":"interval","interval":"2000/3000"}}}`)
	harness.Produce(t, client, &kgo.Record{Topic: "events", Value: []byte(`{"messageId":"last","timestamp":"` + hour.Format(time.RFC3339) + `","event":"view"}`)})
	d.WaitSQL(t, "SELECT COUNT(*) AS n FROM events", 51, patience)
	waitForMetric(t, d.HTTP, "task_success_count")
	waitForMetric(t, d.HTTP, "interval_waitCompact_bytes")
	stdout, stderr, code := d.Run(t, "", "health")
	if code != 0 {
		t.Errorf("the health check of a healthy process exits with %d: %s%s", code, stdout, stderr)
	}
	return d.HTTP
}

// startEtcd runs one real member and returns the host:port of its metrics.
func startEtcd(t *testing.T) string {
	t.Helper()
	client, member := testkit.FreeAddress(t), testkit.FreeAddress(t)
	cmd := exec.Command(
		testkit.Part(t, "etcd"), "--data-dir", filepath.Join(t.TempDir(), "etcd"), "--log-level=error",
		"--listen-client-urls=http://"+client, "--advertise-client-urls=http://"+client,
		"--listen-peer-urls=http://"+member, "--initial-advertise-peer-urls=http://"+member, "--initial-cluster=default=http://"+member,
	)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	})
	waitOK(t, "http://"+client+"/health")
	return client
}

// families reads what a process shows now.
func families(t *testing.T, address string) map[string]*dto.MetricFamily {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s shows no metrics: %s, %v", address, answer.Status, err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	out, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func waitForMetric(t *testing.T, address, name string) {
	t.Helper()
	for begin := time.Now(); ; {
		if _, ok := families(t, address)[name]; ok {
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("%s does not show %s", address, name)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func put(into map[string]labelSet, family *dto.MetricFamily) {
	names := labelSet{}
	for _, m := range family.GetMetric() {
		for _, pair := range m.GetLabel() {
			names[pair.GetName()] = true
		}
	}
	name := family.GetName()
	into[name] = names
	if family.GetType() == dto.MetricType_HISTOGRAM {
		into[name+"_sum"], into[name+"_count"], into[name+"_bucket"] = names, names, labels("le")
		for label := range names {
			into[name+"_bucket"][label] = true
		}
	}
}

// describer is a registry that only notes what metrics there would be.
type describer struct {
	t        *testing.T
	families []*dto.MetricFamily
}

// described is how client_golang writes a metric's description.
var described = regexp.MustCompile(`fqName: "([^"]*)", help: "(.*)", constLabels: .*variableLabels: \{([^}]*)\}`)

func (d *describer) Register(c prometheus.Collector) error {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		c.Describe(descriptions)
	}()
	for desc := range descriptions {
		match := described.FindStringSubmatch(desc.String())
		if match == nil {
			d.t.Errorf("the description %s cannot be read", desc)
			continue
		}
		m := &dto.Metric{}
		for _, label := range strings.FieldsFunc(match[3], func(r rune) bool { return r == ',' || r == ' ' }) {
			m.Label = append(m.Label, &dto.LabelPair{Name: &label})
		}
		d.families = append(d.families, &dto.MetricFamily{Name: &match[1], Help: &match[2], Type: typeOf(c), Metric: []*dto.Metric{m}})
	}
	return nil
}

func typeOf(c prometheus.Collector) *dto.MetricType {
	switch c.(type) {
	case *prometheus.HistogramVec, prometheus.Histogram:
		return dto.MetricType_HISTOGRAM.Enum()
	case *prometheus.GaugeVec, prometheus.Gauge:
		return dto.MetricType_GAUGE.Enum()
	case *prometheus.CounterVec, prometheus.Counter:
		return dto.MetricType_COUNTER.Enum()
	}
	return dto.MetricType_GAUGE.Enum() // a function's value
}

func (d *describer) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := d.Register(c); err != nil {
			d.t.Error(err)
		}
	}
}

func (d *describer) Unregister(prometheus.Collector) bool { return true }

// describedParts are the metrics of what only processes of a cluster have: S3, and the questions between processes.
func describedParts(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	d := &describer{t: t}
	logger := slog.New(slog.DiscardHandler)
	store, err := s3.Open(t.Context(), s3.Options{
		Bucket: "b", Endpoint: "http://127.0.0.1:1", PathStyle: true, AccessKeyID: "k", SecretAccessKey: "s", Logger: logger, Registerer: d,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	server, err := peer.NewServer(peer.ServerOptions{Logger: logger, Registerer: d})
	if err != nil {
		t.Fatal(err)
	}
	server.Close(t.Context())
	client, err := peer.NewClient(peer.ClientOptions{Logger: logger, Registerer: d})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	return d.families
}

// programSource is the text of all Go files of the program.
func programSource(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	root := testkit.RepoRoot(t)
	for _, pattern := range []string{"*/*.go", "*/*/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, filepath.Join(root, "tests")) {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(data)
		}
	}
	return out.String()
}
