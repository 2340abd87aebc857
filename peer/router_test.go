package peer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/segment"
)

// fixedView is a catalog that does not change.
type fixedView catalog.View

func (v *fixedView) View() *catalog.View { return (*catalog.View)(v) }

// viewOf says who owns the partitions of supervisor s, by number, and where the nodes are asked.
func viewOf(owners map[int32]string, flight map[string]string) *fixedView {
	s := &catalog.SupervisorView{Partitions: map[catalog.PartitionKey]*catalog.PartitionView{}}
	for n, node := range owners {
		k := catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: n}
		s.Partitions[k] = &catalog.PartitionView{Key: k}
		if node != "" {
			s.Partitions[k].Owner = &catalog.Owner{PartitionKey: k, Node: node}
		}
	}
	v := &catalog.View{Supervisors: map[string]*catalog.SupervisorView{"s": s}, Nodes: map[string]catalog.Node{}}
	for node, address := range flight {
		v.Nodes[node] = catalog.Node{ID: node, Address: "http-of-" + node, FlightAddress: address}
	}
	return (*fixedView)(v)
}

func TestRouterAsksWhoeverOwnsThePartition(t *testing.T) {
	here, there := newLocal(t, seeded(t, 1), 2, 20), newLocal(t, seeded(t, 2), 2, 20)
	gone := listen(t)
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	view := viewOf(map[int32]string{3: "here", 4: "there", 5: "", 6: "silent", 7: "forgotten", 8: "gone"},
		map[string]string{"here": "", "there": serve(t, ServerOptions{Local: there}), "silent": "", "gone": gone.Addr().String()})
	c := ask(t, ClientOptions{SilentAfter: time.Second})
	r := NewRouter(RouterOptions{Views: view, Node: "here", Local: here, Client: c})
	there.rows.Partition = 4
	for n, local := range map[int32]*fakeLocal{3: here, 4: there} {
		request := requestFor(local.rows)
		request.Partition = n
		rows, err := r.Hot(t.Context(), request)
		if err != nil {
			t.Fatalf("partition %d: %v", n, err)
		}
		if local == here && rows.Data[0].Record != here.rows.Data[0].Record {
			t.Error("local rows were copied")
		}
		sameRows(t, request, local.rows, rows)
		rows.Release()
	}
	for n, want := range map[int32]string{
		5: "no owner", 6: "no address for other processes", 7: "not registered", 8: gone.Addr().String(), 9: "no owner",
	} {
		_, err := r.Hot(t.Context(), segment.HotRequest{Supervisor: "s", Topic: "t", Partition: n, Revision: 3})
		var refused *segment.HotUnavailable
		if !errors.As(err, &refused) || refused.Status != segment.HotNotOwner || !strings.Contains(refused.Detail, want) {
			t.Errorf("partition %d: %v", n, err)
		}
		if node := map[int32]string{6: "silent", 7: "forgotten", 8: "gone"}[n]; !strings.Contains(refused.Detail, node) {
			t.Errorf("partition %d: %s is not named: %v", n, node, err)
		}
	}
	if _, err := r.Hot(t.Context(), segment.HotRequest{Supervisor: "none", Topic: "t"}); err == nil {
		t.Error("a supervisor that nobody knows")
	}
}

func TestRouterAsksManyForStatesAndOneForOrders(t *testing.T) {
	at := func(n int32) catalog.PartitionKey {
		return catalog.PartitionKey{Supervisor: "s", Topic: "t", Partition: n}
	}
	local := func(n int32) *fakeLocal {
		return &fakeLocal{states: map[catalog.PartitionKey]consumer.PartitionStatus{at(n): {Key: at(n), Position: int64(n)}}}
	}
	there := serve(t, ServerOptions{Local: local(4), Logs: fakeLogs{"task": []byte("log")}})
	view := viewOf(map[int32]string{3: "here", 4: "there", 5: "", 6: "b-silent", 7: "a-forgotten", 8: "there"},
		map[string]string{"here": "", "there": there, "b-silent": ""})
	r := NewRouter(RouterOptions{Views: view, Node: "here", Local: local(3), Client: ask(t, ClientOptions{})})
	var keys []catalog.PartitionKey
	for n := range int32(10) {
		keys = append(keys, at(n))
	}
	states, errs := r.Status(t.Context(), keys)
	if len(states) != 2 || states[at(3)].Position != 3 || states[at(4)].Position != 4 {
		t.Errorf("states: %v", states)
	}
	if len(errs) != 2 || !strings.Contains(errs[0].Error(), "a-forgotten") || !strings.Contains(errs[1].Error(), "b-silent") {
		t.Errorf("errors: %v", errs)
	}
	for _, node := range []string{"here", "there"} {
		if revision, err := r.Handoff(t.Context(), node, at(4), 8); err != nil || revision != 9 {
			t.Errorf("%s: %d, %v", node, revision, err)
		}
		if err := r.AcceptLoss(t.Context(), node, at(4), 8, 9); err != nil {
			t.Errorf("%s: %v", node, err)
		}
	}
	if text, err := r.TaskLog(t.Context(), "there", "task"); err != nil || string(text) != "log" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := r.TaskLog(t.Context(), "here", "task"); !errors.Is(err, ErrNoLog) {
		t.Errorf("%v", err)
	}
	for _, node := range []string{"b-silent", "a-forgotten"} {
		_, handoff := r.Handoff(t.Context(), node, at(4), 8)
		_, log := r.TaskLog(t.Context(), node, "task")
		for i, err := range []error{handoff, r.AcceptLoss(t.Context(), node, at(4), 8, 9), log} {
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), node) {
				t.Errorf("%s %d: %v", node, i, err)
			}
		}
	}
	bare := NewRouter(RouterOptions{Views: view, Node: "here"})
	if _, err := bare.Handoff(t.Context(), "here", at(3), 1); !errors.Is(err, consumer.ErrNotRunning) {
		t.Errorf("%v", err)
	}
	if states, errs := bare.Status(t.Context(), keys[3:4]); len(states) != 0 || len(errs) != 0 {
		t.Errorf("%v %v", states, errs)
	}
}
