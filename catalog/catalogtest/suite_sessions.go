package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"drumlin/catalog"
	"drumlin/segment"
)

func runSessions(t *testing.T, factory Factory) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Factory)
	}{
		{"predecessor", testPredecessor},
		{"living twin", testLivingTwin},
		{"replaced", testReplaced},
		{"acquire", testAcquire},
		{"leave", testLeave},
		{"cannot read", testCannotRead},
		{"lost", testLost},
		{"doubtful", testDoubtful},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // they wait for leases
			test.run(t, factory)
		})
	}
}

func testPredecessor(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	old, w := e.writer(t)
	again := Register(t, e.open(t), "n1") // another process, at the same address
	select {
	case <-e.lostWithin(old):
	case <-time.After(30 * time.Second):
		t.Error("the earlier session of the node does not notice")
	}
	second := Write(t, e.c, again, partition(0))
	if second.Owner.Epoch <= w.Owner.Epoch {
		t.Errorf("epoch %d after %d", second.Owner.Epoch, w.Owner.Epoch)
	}
	if _, err := w.Append(t.Context(), w.Request(Hour(1), 0, nil)); !errors.Is(err, catalog.ErrFenced) {
		t.Errorf("append of the earlier process: %v", err)
	}
}

// register registers a node with a lease that is short, but outlives the pauses of a busy machine. Its session ends with the test.
func register(t *testing.T, c *catalog.Catalog, id, address string, options ...catalog.RegisterOption) (*catalog.Session, error) {
	s, err := c.Register(t.Context(), catalog.Node{ID: id, Address: address}, 3*time.Second, options...)
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(context.Background()); err != nil {
				t.Errorf("close session: %v", err)
			}
		})
	}
	return s, err
}

// testLivingTwin: a process that lives is not driven out by another one that was given its id, and one that is dead is waited for.
func testLivingTwin(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	first, err := register(t, e.c, "n1", "host1:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := register(t, e.open(t), "n1", "host2:1"); !errors.Is(err, catalog.ErrNodeTaken) {
		t.Errorf("a second process of the same id: %v", err)
	}
	select {
	case <-first.Lost():
		t.Error("the living process was driven out")
	default:
	}
	if _, err := register(t, e.open(t), "n1", "host2:1", catalog.Sole()); err != nil {
		t.Errorf("a process that knows to be the only one: %v", err)
	}
	lease, err := e.KV.Grant(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	dead := put("node/n2", `{"id":"n2","address":"host1:2"}`)
	dead.Lease = lease
	mustTxn(t, e.KV, catalog.Txn{Then: []catalog.Op{dead}})
	if _, err := register(t, e.c, "n2", "host2:2"); err != nil {
		t.Errorf("after the end of a dead process's lease: %v", err)
	}
}

// testReplaced: of two living processes of one id and address the one that was driven out does not drive the other out in turn.
func testReplaced(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	if _, err := register(t, e.c, "n1", "same:1"); err != nil {
		t.Fatal(err)
	}
	second, err := register(t, e.open(t), "n1", "same:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := register(t, e.c, "n1", "same:1"); !errors.Is(err, catalog.ErrNodeTaken) {
		t.Errorf("the first process comes back: %v", err)
	}
	select {
	case <-second.Lost():
		t.Error("it has driven the second one out")
	default:
	}
}

func testAcquire(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, w := e.writer(t)
	other := Register(t, e.c, "n2")
	if _, err := other.Acquire(t.Context(), partition(0)); !errors.Is(err, catalog.ErrOwned) {
		t.Errorf("acquire what another owns: %v", err)
	}
	again, err := s.Acquire(t.Context(), partition(0))
	if err != nil || again != w.Owner {
		t.Errorf("acquire again: %+v, %v", again, err)
	}
	if err := s.Release(t.Context(), w.Owner); err != nil {
		t.Fatal(err)
	}
	e.faulty.Next(LoseReply)
	now, err := other.Acquire(t.Context(), partition(0))
	if err != nil || now.Epoch <= w.Owner.Epoch {
		t.Fatalf("acquire with a lost reply: %+v, %v", now, err)
	}
	if err := s.Release(t.Context(), w.Owner); err != nil {
		t.Errorf("release what is not owned any more: %v", err)
	}
	v := e.refresh(t)
	if o := v.Supervisors["s"].Partitions[partition(0)].Owner; o == nil || o.Node != "n2" || o.Epoch != now.Epoch {
		t.Errorf("owner in the view: %+v", o)
	}
}

func testLeave(t *testing.T, factory Factory) {
	for _, fault := range []TxnFault{0, LoseReply, LoseRequest, Refuse} {
		t.Run(fmt.Sprint("fault=", fault), func(t *testing.T) {
			e := newEnv(t, factory)
			s, w := e.writer(t)
			if n := e.refresh(t).Nodes["n1"]; n.Leaving || n.Instance == "" {
				t.Fatalf("announced as %+v", n)
			}
			e.faulty.Next(fault)
			for range 2 { // the second one changes nothing
				if err := s.Leave(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := e.refresh(t).Nodes["n1"]; !n.Leaving || n.Address != "127.0.0.1:1" {
				t.Errorf("leaving as %+v", n)
			}
			w.MustAppend(t, Hour(1), 1) // what it owns is its own until it is released
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, there := e.refresh(t).Nodes["n1"]; there {
				t.Error("the node's key has not gone with its lease")
			}
			if err := s.Leave(t.Context()); err != nil {
				t.Errorf("leave what was left: %v", err)
			}
			lost := Register(t, e.c, "n2")
			lease := mustRange(t, e.KV, "node/n2", catalog.RangeOptions{Exact: true}).KVs[0].Lease
			if err := e.KV.Revoke(t.Context(), lease); err != nil {
				t.Fatal(err)
			}
			if err := lost.Leave(t.Context()); !errors.Is(err, catalog.ErrSessionLost) {
				t.Errorf("leave without a lease: %v", err)
			}
		})
	}
}

// testCannotRead: what a node cannot read is in the view until it is taken back, whatever happens to the replies, and leaving keeps it.
func testCannotRead(t *testing.T, factory Factory) {
	for _, fault := range []TxnFault{0, LoseReply, LoseRequest, Refuse} {
		t.Run(fmt.Sprint("fault=", fault), func(t *testing.T) {
			e := newEnv(t, factory)
			s, _ := e.writer(t)
			announce := func(want map[string]catalog.Unable) {
				t.Helper()
				e.faulty.Next(fault)
				if err := s.CannotRead(t.Context(), want); err != nil {
					t.Fatal(err)
				}
				if n := e.refresh(t).Nodes["n1"]; !maps.Equal(n.Unable, want) || n.Address != "127.0.0.1:1" {
					t.Errorf("announced %v, shown %+v", want, n)
				}
			}
			why := catalog.Unable{SinceMillis: 7, Reason: "no answer"}
			announce(map[string]catalog.Unable{"s": why})
			if err := s.CannotRead(t.Context(), map[string]catalog.Unable{"s": why}); err != nil {
				t.Errorf("announced again: %v", err)
			}
			announce(nil)
			announce(map[string]catalog.Unable{"r": why})
			// Nobody knows what became of an announcement: the next one holds nevertheless.
			e.faulty.Next(LoseReply, LoseRequest, LoseRequest, LoseRequest)
			if err := s.CannotRead(t.Context(), nil); !errors.Is(err, catalog.ErrUnknown) {
				t.Errorf("an announcement that is never answered: %v", err)
			}
			announce(map[string]catalog.Unable{"t": why})
			if err := s.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := e.refresh(t).Nodes["n1"]; !n.Leaving || len(n.Unable) != 1 {
				t.Errorf("leaving as %+v", n)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.CannotRead(t.Context(), nil); !errors.Is(err, catalog.ErrSessionLost) {
				t.Errorf("announced after the end: %v", err)
			}
		})
	}
}

func testLost(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	s, err := e.c.Register(t.Context(), catalog.Node{ID: "n1"}, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	lease := mustRange(t, e.KV, "node/n1", catalog.RangeOptions{Exact: true}).KVs[0].Lease
	if err := e.KV.Revoke(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Lost():
	case <-time.After(30 * time.Second):
		t.Error("the loss of the lease is not noticed")
	}
	if _, err := s.Acquire(t.Context(), partition(0)); !errors.Is(err, catalog.ErrSessionLost) {
		t.Errorf("acquire without a lease: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close a lost session: %v", err)
	}
}

// testDoubtful: a store that does not answer loses nobody his session, however long that lasts: only its word does.
func testDoubtful(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	Supervise(t, e.c, "s", "ds")
	s, err := register(t, e.c, "n1", "host1:1")
	if err != nil {
		t.Fatal(err)
	}
	w := Write(t, e.c, s, partition(0))
	isDoubtful := func() bool { _, is := s.Doubtful(); return is }
	if isDoubtful() {
		t.Error("doubtful from the beginning")
	}
	e.faulty.SilenceLeases(true)
	waitFor(t, "the session to become doubtful", isDoubtful)
	select {
	case <-s.Lost():
		t.Fatal("lost because the store did not answer")
	default:
	}
	// The lease has ended by now or not: only the store knows, and both are told right.
	_, err = w.Append(t.Context(), w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 1}))
	if err != nil && !errors.Is(err, catalog.ErrFenced) {
		t.Errorf("append under a doubtful session: %v", err)
	}
	e.faulty.SilenceLeases(false)
	waitFor(t, "the store's word", func() bool {
		select {
		case <-s.Lost():
			return true
		default:
			return !isDoubtful()
		}
	})
}

// TestSessionOutlivesOutage is for backends that live in a bubble of fake time: through an outage of any length the session asks
// a bounded number of times, and goes on where the lease has lived.
func TestSessionOutlivesOutage(t *testing.T, kv func() catalog.Backend) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, func(testing.TB) Fixture { return Fixture{KV: kv()} })
		s, err := e.c.Register(t.Context(), catalog.Node{ID: "n1"}, 10*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		e.faulty.SilenceLeases(true)
		time.Sleep(9 * time.Hour)
		if _, is := s.Doubtful(); is {
			t.Error("doubtful before a life of the lease is over")
		}
		if n := e.faulty.Fired(); n > 9*3600 {
			t.Errorf("%d requests in nine hours", n)
		}
		e.faulty.SilenceLeases(false)
		time.Sleep(time.Minute)
		select {
		case <-s.Lost():
			t.Error("lost, though its lease lives")
		default:
		}
		if since, _ := s.Doubtful(); time.Since(since) > 2*time.Minute {
			t.Errorf("not renewed since %s", since)
		}
	})
}

// lostWithin closes the channel at once where the session's keepalive is too slow for a test: the store already knows.
func (e *env) lostWithin(s *catalog.Session) <-chan struct{} {
	if _, err := s.Acquire(context.Background(), partition(99)); errors.Is(err, catalog.ErrSessionLost) {
		done := make(chan struct{})
		close(done)
		return done
	}
	return s.Lost()
}
