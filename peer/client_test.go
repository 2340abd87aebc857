package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
	"github.com/prometheus/client_golang/prometheus"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/segment"
)

var key = catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: 3}

// newLocal is a process with some hot rows.
func newLocal(t testing.TB, rnd *rand.Rand, batches, rows int) *fakeLocal {
	t.Helper()
	mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
	local := &fakeLocal{rows: (&maker{rnd, mem}).hot(batches, rows, 10*hourMillis)}
	t.Cleanup(func() {
		local.rows.Release()
		mem.AssertSize(t, 0)
	})
	return local
}

func TestManyAskersAtOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	local := newLocal(t, seeded(t, seed), 6, 60)
	registry := prometheus.NewRegistry()
	address := serve(t, ServerOptions{Local: local, Registerer: registry})
	clientRegistry := prometheus.NewRegistry()
	c := ask(t, ClientOptions{Registerer: clientRegistry})
	var askers sync.WaitGroup
	for i := range uint64(6) {
		askers.Go(func() {
			m := &maker{rand.New(rand.NewPCG(seed, i)), nil}
			for range 8 {
				r := m.request(local.rows, 10*hourMillis)
				got, err := c.Hot(t.Context(), address, r)
				if err != nil {
					t.Errorf("%+v: %v", r, err)
					return
				}
				sameRows(t, r, local.rows, got)
				got.Release()
			}
		})
	}
	askers.Wait()
	for side, r := range map[string]*prometheus.Registry{"server": registry, "client": clientRegistry} {
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				seen[f.GetName()] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		if seen["drumlin_peer_"+side+"_requests_total"] != 48 || seen["drumlin_peer_"+side+"_request_seconds"] != 48 ||
			seen["drumlin_peer_"+side+"_hot_rows_total"] == 0 || seen["drumlin_peer_"+side+"_hot_bytes_total"] == 0 {
			t.Errorf("%s: %v", side, seen)
		}
	}
}

// The request arrives as it was asked, nil and empty lists of columns told apart.
func TestRequestsArriveAsTheyWereAsked(t *testing.T) {
	local := newLocal(t, seeded(t, 1), 1, 1)
	address := serve(t, ServerOptions{Local: local})
	c := ask(t, ClientOptions{})
	for _, r := range []segment.HotRequest{
		requestFor(local.rows),
		{
			Supervisor: "s", Topic: "t", Generation: 1, Partition: 3, From: local.rows.From, Revision: 9, Columns: []string{},
			Facts: segment.Facts{SpecVersion: 4, RetentionFloorMillis: 5, DedupFloorMillis: -6}, FromMillis: -7, ToMillis: 8,
		},
	} {
		got, err := c.Hot(t.Context(), address, r)
		if err != nil {
			t.Fatal(err)
		}
		got.Release()
		if last := local.asked[len(local.asked)-1]; !reflect.DeepEqual(last, r) {
			t.Errorf("asked was %+v, arrived is %+v", r, last)
		}
	}
}

func TestRefusalsAreTheSameOnBothSides(t *testing.T) {
	local := newLocal(t, seeded(t, 1), 1, 1)
	address := serve(t, ServerOptions{Local: local})
	c := ask(t, ClientOptions{})
	for status := range hotStatusNames {
		want := &segment.HotUnavailable{Status: status, Revision: 12, At: 34, Detail: "t partition 3: why"}
		local.set(func(l *fakeLocal) { l.err = fmt.Errorf("hot: %w", want) })
		_, err := c.Hot(t.Context(), address, requestFor(local.rows))
		var got *segment.HotUnavailable
		if !errors.As(err, &got) || *got != *want {
			t.Errorf("%v", err)
		}
	}
	for _, s := range sentinels {
		if s.name == "canceled" || s.name == "deadline" {
			continue // these are the caller's own
		}
		local.set(func(l *fakeLocal) { l.err = fmt.Errorf("partition 3: %w", s.err) })
		for what, err := range map[string]error{
			"accept": c.AcceptLoss(t.Context(), address, key, 1, 2),
			"handoff": func() error {
				_, err := c.Handoff(t.Context(), address, key, 5)
				return err
			}(),
		} {
			if !errors.Is(err, s.err) || !strings.Contains(err.Error(), "partition 3") || !strings.Contains(err.Error(), address) {
				t.Errorf("%s %s: %v", what, s.name, err)
			}
		}
	}
	local.set(func(l *fakeLocal) { l.err = errors.New("something else") })
	if err := c.AcceptLoss(t.Context(), address, key, 1, 2); !errors.Is(err, ErrInternal) || !strings.Contains(err.Error(), "something else") {
		t.Errorf("%v", err)
	}
}

type fakeLogs map[string][]byte

func (l fakeLogs) TaskLog(_ context.Context, id string) ([]byte, error) {
	text, ok := l[id]
	if !ok {
		return nil, fmt.Errorf("task %s: %w", id, ErrNoLog)
	}
	return text, nil
}

func TestQuestionsAndOrders(t *testing.T) {
	long := bytes.Repeat([]byte("one line of a log\n"), 700_000) // several messages
	states := map[catalog.PartitionKey]consumer.PartitionStatus{
		key: {
			Key: key, State: consumer.StateHalted, Generation: 2, TopicID: "abc", Facts: segment.Facts{SpecVersion: 3}, Position: 4,
			Committed: 5, Revision: 6, CatchUp: 7, StableEnd: 8, Lag: 9, Counters: segment.Counters{Stored: 10, Lost: 11}, HotRows: 12,
			HotBytes: 13, Handoffs: 14, Halt: &consumer.Halt{Reason: consumer.HaltLostRange, Message: "gone", From: 15, To: 16},
			LastError: "why", LastAt: time.UnixMilli(baseMillis).UTC(), Undecided: 17, UndecidedSince: time.UnixMilli(baseMillis + 1).UTC(),
			FailingSince: time.UnixMilli(baseMillis + 2).UTC(), FailedAttempts: 3, SilentSince: time.UnixMilli(baseMillis + 3).UTC(),
		},
		{Supervisor: "s", Topic: "t", Partition: 4}: {Key: catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: 4}},
	}
	var ordered []string
	local := &fakeLocal{states: states, order: func(_ context.Context, what string) error { ordered = append(ordered, what); return nil }}
	address := serve(t, ServerOptions{Local: local, Logs: fakeLogs{"task": long, "quiet": nil}})
	c := ask(t, ClientOptions{})
	keys := []catalog.PartitionKey{{Supervisor: "s", Topic: "other"}}
	for k := range maps.Keys(states) {
		keys = append(keys, k)
	}
	got, err := c.Status(t.Context(), address, keys)
	if err != nil || !reflect.DeepEqual(got, states) {
		t.Errorf("states: %+v, %v", got, err)
	}
	if revision, err := c.Handoff(t.Context(), address, key, 41); err != nil || revision != 42 {
		t.Errorf("handoff: %d, %v", revision, err)
	}
	if err := c.AcceptLoss(t.Context(), address, key, 43, 44); err != nil {
		t.Error(err)
	}
	if want := []string{fmt.Sprintf("handoff %v 41", key), fmt.Sprintf("accept %v 43 44", key)}; !reflect.DeepEqual(ordered, want) {
		t.Errorf("ordered was %v", ordered)
	}
	for id, want := range map[string][]byte{"task": long, "quiet": nil} {
		if text, err := c.TaskLog(t.Context(), address, id); err != nil || !bytes.Equal(text, want) {
			t.Errorf("log of %s: %d bytes, %v", id, len(text), err)
		}
	}
	if _, err := c.TaskLog(t.Context(), address, "none"); !errors.Is(err, ErrNoLog) {
		t.Errorf("%v", err)
	}
}

// A process without the role has nothing to tell, and says so.
func TestProcessThatReadsNoPartitions(t *testing.T) {
	address := serve(t, ServerOptions{})
	c := ask(t, ClientOptions{})
	var refused *segment.HotUnavailable
	if _, err := c.Hot(t.Context(), address, segment.HotRequest{Supervisor: "s", Topic: "t"}); !errors.As(err, &refused) || refused.Status != segment.HotNotOwner {
		t.Errorf("%v", err)
	}
	if states, err := c.Status(t.Context(), address, []catalog.PartitionKey{key}); err != nil || len(states) != 0 {
		t.Errorf("%v, %v", states, err)
	}
	if _, err := c.Handoff(t.Context(), address, key, 1); !errors.Is(err, consumer.ErrNotRunning) {
		t.Errorf("%v", err)
	}
	if _, err := c.TaskLog(t.Context(), address, "task"); !errors.Is(err, ErrNoLog) {
		t.Errorf("%v", err)
	}
}

func TestOtherFormatsAndNonsenseAreRefused(t *testing.T) {
	address := serve(t, ServerOptions{Local: newLocal(t, seeded(t, 1), 1, 1)})
	c := ask(t, ClientOptions{})
	for _, q := range []any{map[string]any{"format": 2}, map[string]any{}, 7, map[string]any{"format": 1, "keys": 3}} {
		if _, err := c.action(t.Context(), address, actionStatus, q); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", q, err)
		}
	}
	if _, err := c.action(t.Context(), address, "drumlin.unknown", statusRequest{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v", err)
	}
	if _, err := c.Hot(t.Context(), address, segment.HotRequest{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v", err)
	}
}

func TestPanicIsAnErrorAndNoMore(t *testing.T) {
	local := newLocal(t, seeded(t, 1), 1, 1)
	local.panics = true
	address := serve(t, ServerOptions{Local: local})
	c := ask(t, ClientOptions{})
	if _, err := c.Hot(t.Context(), address, requestFor(local.rows)); !errors.Is(err, ErrInternal) {
		t.Errorf("%v", err)
	}
	local.order = func(context.Context, string) error { panic("an order") }
	if err := c.AcceptLoss(t.Context(), address, key, 1, 2); !errors.Is(err, ErrInternal) {
		t.Errorf("%v", err)
	}
	local.set(func(l *fakeLocal) { l.panics = false })
	got, err := c.Hot(t.Context(), address, requestFor(local.rows))
	if err != nil {
		t.Fatal(err)
	}
	got.Release()
}

// The rows that queries hold are bounded; those that have been given back make room.
func TestHeldRowsAreBounded(t *testing.T) {
	local := newLocal(t, seeded(t, 5), 8, 200)
	address := serve(t, ServerOptions{Local: local})
	whole, err := ask(t, ClientOptions{}).Hot(t.Context(), address, requestFor(local.rows))
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for _, b := range append(whole.Data, whole.Rejects...) {
		bytes += sizeOf(b.Record)
	}
	whole.Release()
	c := ask(t, ClientOptions{MaxHotBytes: bytes * 3 / 2})
	for range 3 {
		first, err := c.Hot(t.Context(), address, requestFor(local.rows))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Hot(t.Context(), address, requestFor(local.rows)); !errors.Is(err, ErrHotBudget) {
			t.Errorf("%v", err)
		}
		first.Release()
	}
}

// A message over the limit is an error that says so, not a process that cannot be reached.
func TestMessageOverTheLimit(t *testing.T) {
	local := newLocal(t, seeded(t, 6), 3, 1000)
	address := serve(t, ServerOptions{Local: local})
	c := ask(t, ClientOptions{MaxMessageBytes: 2000})
	if _, err := c.Hot(t.Context(), address, requestFor(local.rows)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("%v", err)
	}
}
