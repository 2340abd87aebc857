package consumer

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cuttable is a network in which a broker listens, and from which a test can take every connection, old and new.
type cuttable struct {
	mu    sync.Mutex
	is    bool
	conns []net.Conn
}

func (c *cuttable) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &cuttableListener{l, c}, err
}

func (c *cuttable) cut(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is = is
	for _, conn := range c.conns {
		_ = conn.Close() // its other end hears of it
	}
	c.conns = nil
}

type cuttableListener struct {
	net.Listener
	from *cuttable
}

func (l *cuttableListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.from.mu.Lock()
	defer l.from.mu.Unlock()
	if l.from.is {
		_ = conn.Close()
	}
	l.from.conns = append(l.from.conns, conn)
	return conn, nil
}

// TestSilentBrokersShow: a partition says since when its brokers have answered nothing, while its rows go on being readable, and
// no longer when they answer again; whether there is anything new to read does not matter.
func TestSilentBrokersShow(t *testing.T) {
	network := &cuttable{}
	r := newRig(t, nil)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(network.listen))
	r.must(err)
	t.Cleanup(cluster.Close)
	r.cluster = cluster
	r.must(r.manager.StopAll(t.Context()))
	address := strings.Join(cluster.ListenAddrs(), ",")
	r.client.Close()
	r.client, err = kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r.must(err)
	t.Cleanup(r.client.Close)
	kafka, err := NewKafka(map[string]string{"bootstrap.servers": address})
	r.must(err)
	kafka.requestTimeout = 300 * time.Millisecond
	t.Cleanup(kafka.Close)
	r.options.Broker = kafka
	r.newManager()
	r.createTopic(1)
	r.produceEvents(0, 10)
	r.start(r.submit(specText("", "", "")))
	r.waitPosition(10)
	r.waitFor("answers", func(s PartitionStatus) bool { return s.SilentSince.IsZero() })
	network.cut(true)
	s := r.waitFor("silence", func(s PartitionStatus) bool { return !s.SilentSince.IsZero() && s.LastError != "" })
	first := s.LastAt
	s = r.waitFor("another question in vain", func(s PartitionStatus) bool { return s.LastAt.After(first) && !s.SilentSince.IsZero() })
	if s.State != StateRunning || s.HotRows != 10 {
		t.Errorf("status %+v", s)
	}
	h, err := r.manager.Hot(t.Context(), r.hotRequest())
	r.must(err)
	h.Release()
	network.cut(false)
	r.waitFor("answers again", func(s PartitionStatus) bool { return s.SilentSince.IsZero() })
	r.produceEvents(10, 5)
	r.waitPosition(15)
	r.stop(true)
	if c := r.committed(); c.rows != 15 {
		t.Errorf("committed %+v", c)
	}
}

func TestAnswered(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, true},
		{brokerError(kerr.LeaderNotAvailable), true}, // any process would be told so
		{brokerError(kerr.UnknownTopicOrPartition), true},
		{ErrOutOfRange, true},
		{&TruncatedError{}, true},
		{brokerError(kerr.SaslAuthenticationFailed), false},
		{brokerError(kerr.TopicAuthorizationFailed), false},
		{brokerError(&net.OpError{Op: "dial", Err: net.ErrClosed}), false},
		{brokerError(kgo.ErrClientClosed), false},
	} {
		if got := Answered(c.err); got != c.want {
			t.Errorf("%v: %t", c.err, got)
		}
	}
}
