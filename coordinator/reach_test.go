package coordinator

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
)

var errCut = errors.New("dial tcp 192.0.2.1:9092: i/o timeout")

// reader is a node of a world whose way to the brokers can be cut.
type reader struct {
	co      *Coordinator
	ingest  *fakeIngest
	topics  *fakeTopics
	metrics *prometheus.Registry
	end     func()
}

// cut takes the brokers away from the node, or gives them back.
func (r *reader) cut(is bool) {
	var err error
	var since time.Time
	if is {
		err, since = errCut, time.Now()
	}
	r.topics.fail(err)
	r.ingest.mu.Lock()
	defer r.ingest.mu.Unlock()
	r.ingest.silent = since
}

// readers starts nodes a, b, … with the default times, which read a topic of so many partitions. Time is the bubble's.
func readers(t *testing.T, w *world, nodes, partitions int) []*reader {
	t.Helper()
	var out []*reader
	for i := range nodes {
		out = append(out, w.reader(t, string(rune('a'+i)), partitions))
		if i == 0 {
			mustSubmit(t, out[0].co, specText("topic: events", ""))
		}
	}
	waitCounts(t, time.Minute, out, func(counts []int) bool { // evenly: nothing moves any more
		sum := 0
		for _, n := range counts {
			sum += n
			if n < partitions/nodes || n > (partitions+nodes-1)/nodes {
				return false
			}
		}
		return sum == partitions
	})
	return out
}

func (w *world) reader(t *testing.T, id string, partitions int) *reader {
	t.Helper()
	r := &reader{topics: &fakeTopics{}, metrics: prometheus.NewRegistry()}
	r.topics.set("events", partitions)
	r.co, r.ingest, r.end = w.node(t, id, func(o *Options) {
		o.Topics, o.Registerer = r.topics, r.metrics
		o.LeaseTTL, o.DiscoverEvery, o.Backoff = 0, 0, 0
	})
	return r
}

// waitCounts waits until the numbers of partitions that the nodes read are as wanted, and says how long that took.
func waitCounts(t *testing.T, within time.Duration, nodes []*reader, ok func([]int) bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for {
		var counts []int
		for _, r := range nodes {
			counts = append(counts, r.ingest.count())
		}
		if ok(counts) {
			return time.Since(begun)
		}
		if time.Since(begun) > within {
			t.Fatalf("after %s the nodes read %v", within, counts)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func exactly(want ...int) func([]int) bool {
	return func(got []int) bool { return fmt.Sprint(got) == fmt.Sprint(want) }
}

// TestANodeCutFromItsBrokersGivesUpItsShare, hands off first, says why, and gets its share again some time after it is back.
func TestANodeCutFromItsBrokersGivesUpItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := readers(t, w, 2, 4)
		a, b := nodes[0], nodes[1]
		a.cut(true)
		took := waitCounts(t, time.Minute, nodes, exactly(0, 4))
		if took < silenceLimit*10*time.Second || took > 55*time.Second {
			t.Errorf("it gave up after %s", took)
		}
		if n := a.ingest.logged("stop events/0 handoff=true") + a.ingest.logged("stop events/1 handoff=true") +
			a.ingest.logged("stop events/2 handoff=true") + a.ingest.logged("stop events/3 handoff=true"); n < 2 {
			t.Errorf("%d partitions were handed off: %v", n, a.ingest.log)
		}
		s, err := b.co.Status(t.Context(), "events")
		if err != nil || len(s.RecentErrors) != 1 || !strings.Contains(s.RecentErrors[0].Message, "node a: cannot read since") ||
			!strings.Contains(s.RecentErrors[0].Message, errCut.Error()) || s.State != StateRunning {
			t.Errorf("status %s %+v, %v", s.State, s.RecentErrors, err)
		}
		if n := gauge(t, a.metrics, "drumlin_coordinator_unable_supervisors"); n != 1 {
			t.Errorf("the metric says %v", n)
		}
		for range 10 { // too short for a flapping network to count as back
			a.cut(false)
			time.Sleep(20 * time.Second)
			a.cut(true)
			time.Sleep(20 * time.Second)
		}
		if n := b.ingest.count(); n != 4 {
			t.Errorf("b reads %d while the network of a comes and goes", n)
		}
		starts := a.ingest.started() + b.ingest.started()
		a.cut(false)
		took = waitCounts(t, time.Minute, nodes, exactly(2, 2))
		if took < returnAfter*10*time.Second {
			t.Errorf("it had its share again after %s", took)
		}
		if n := a.ingest.started() + b.ingest.started() - starts; n != 2 {
			t.Errorf("%d partitions moved back, not 2", n)
		}
		if s, err := b.co.Status(t.Context(), "events"); err != nil || len(s.RecentErrors) != 0 {
			t.Errorf("status %+v, %v", s, err)
		}
	})
}

// TestBrokersThatAreAwayMoveNothing: where no node can read, what is hot stays where it is, and answers. Nor does anything
// move to a node that starts meanwhile, nor when the brokers come back, however the nodes notice.
func TestBrokersThatAreAwayMoveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := readers(t, w, 3, 2) // one reads nothing
		starts := func() int {
			n := 0
			for _, r := range nodes {
				n += r.ingest.started()
			}
			return n
		}
		before := starts()
		for i, r := range nodes {
			r.cut(true)
			time.Sleep(time.Duration(i) * 2 * time.Second) // one after the other
		}
		time.Sleep(5 * time.Minute)
		late := &reader{topics: &fakeTopics{err: errCut}, metrics: prometheus.NewRegistry()}
		late.topics.set("events", 2)
		late.co, late.ingest, late.end = w.node(t, "late", func(o *Options) {
			o.Topics, o.Registerer, o.LeaseTTL, o.DiscoverEvery, o.Backoff = late.topics, late.metrics, 0, 0, 0
		})
		nodes = append(nodes, late)
		time.Sleep(5 * time.Minute)
		if n := starts(); n != before {
			t.Errorf("%d partitions moved while no broker answered", n-before)
		}
		for i := range nodes { // the one that has never read is the first to be served
			nodes[len(nodes)-1-i].cut(false)
			time.Sleep(2 * time.Second)
		}
		time.Sleep(5 * time.Minute)
		if n := starts(); n != before {
			t.Errorf("%d partitions moved when the brokers came back", n-before)
		}
	})
}

// TestAReaderWithoutAnswersGivesUp: some brokers may answer questions about topics, and that of a partition nobody.
func TestAReaderWithoutAnswersGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := readers(t, w, 2, 4)
		a := nodes[0]
		a.topics.ends = errCut // nobody has asked for them yet
		a.ingest.mu.Lock()
		a.ingest.silent = time.Now()
		a.ingest.mu.Unlock()
		waitCounts(t, time.Minute, nodes, exactly(0, 4))
		time.Sleep(time.Hour)
		if n := nodes[1].ingest.count(); n != 4 {
			t.Errorf("b reads %d", n)
		}
	})
}

// TestAMoveDoesNotWaitForEver: a last handoff that another node waits for is given up after the stop timeout; one that nobody
// waits for, as of a suspended supervisor, is not, until it is resumed.
func TestAMoveDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := readers(t, w, 1, 2)
		a := nodes[0]
		w.begun(t, 2)
		gate := make(chan struct{})
		a.ingest.mu.Lock()
		a.ingest.slowStop = map[catalog.PartitionKey]chan struct{}{key("events", 0): gate, key("events", 1): gate}
		a.ingest.mu.Unlock()
		b := w.reader(t, "b", 2)
		nodes = append(nodes, b)
		if took := waitCounts(t, time.Minute, nodes, exactly(1, 1)); took < 20*time.Second || took > 22*time.Second {
			t.Errorf("b waited for %s", took)
		}
		if n := gauge(t, a.metrics, "drumlin_coordinator_unfinished_releases_total"); n != 1 {
			t.Errorf("%v releases without a handoff", n)
		}
		submit := func(suspended bool) {
			t.Helper()
			mustSubmit(t, a.co, specText("topic: events", fmt.Sprintf("suspended: %t,", suspended)))
		}
		submit(true)
		waitCounts(t, time.Minute, nodes, exactly(1, 0))
		time.Sleep(time.Hour)
		if n := a.ingest.count(); n != 1 {
			t.Fatal("a suspended partition was released before its handoff was done")
		}
		submit(false)
		waitCounts(t, time.Minute, nodes, func([]int) bool {
			return gauge(t, a.metrics, "drumlin_coordinator_unfinished_releases_total") == 2
		})
		waitCounts(t, time.Minute, nodes, exactly(1, 1))
		close(gate)
	})
}
