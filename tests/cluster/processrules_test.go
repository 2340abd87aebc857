package cluster

import (
	"encoding/json"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drumlin/catalog"
	"drumlin/segment"
)

// script makes up a history, one revision an event.
type script struct {
	t        *testing.T
	past     *past
	revision int64
	keys     map[string]*mvccpb.KeyValue
}

func newScript(t *testing.T) *script {
	return &script{t: t, past: newPast(), keys: map[string]*mvccpb.KeyValue{}}
}

// put returns the key's create_revision.
func (s *script) put(key string, value any) int64 {
	s.t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		s.t.Fatal(err)
	}
	s.revision++
	kv := mvccpb.KeyValue{Key: []byte(key), Value: data, CreateRevision: s.revision, ModRevision: s.revision, Version: 1}
	if old := s.keys[key]; old != nil {
		kv.CreateRevision, kv.Version = old.CreateRevision, old.Version+1
	}
	s.keys[key] = &kv
	s.past.event(key, &clientv3.Event{Type: mvccpb.PUT, Kv: &kv})
	return kv.CreateRevision
}

func (s *script) delete(key string) {
	s.revision++
	delete(s.keys, key)
	s.past.event(key, &clientv3.Event{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: s.revision}})
}

func (s *script) own(node string) int64 {
	return s.put("own/events/t/0", map[string]string{"node": node})
}

func (s *script) offset(next int64) { s.put("offset/events/t/0", catalog.Offset{Next: next}) }

func (s *script) commit(epoch, from, to, stored int64) {
	s.put("commit/events/t/0/0/"+string(rune('a'+from)), catalog.Commit{
		Supervisor: "events", Epoch: epoch, Range: segment.OffsetRange{Topic: "t", From: from, To: to},
		Counters: segment.Counters{Stored: stored},
	})
}

func (s *script) swap(epoch, sequence int64) {
	name := "manifests/i/events/0-1-e" + string(rune('0'+epoch)) + "-r.json"
	s.put("head/events/7", catalog.Head{Manifest: name, Sequence: sequence})
}

// TestHistoriesThatBreakTheRules has the checker of histories find each kind of breach, and none where there is none.
func TestHistoriesThatBreakTheRules(t *testing.T) {
	for _, c := range []struct {
		name, want string
		more       func(s *script, epoch int64) // after a commit of [0, 5), which the offset does not show yet
	}{
		{"sound", "", func(s *script, epoch int64) {
			s.commit(epoch, 5, 9, 4)
			s.delete("own/events/t/0")
			s.commit(s.own("b"), 9, 10, 1)
			s.offset(10)
		}},
		{"gap", "reach to 5", func(s *script, epoch int64) { s.commit(epoch, 6, 9, 3); s.offset(9) }},
		{"overlap", "reach to 5", func(s *script, epoch int64) { s.commit(epoch, 4, 9, 5); s.offset(9) }},
		{"law 1", "accounts for 3 of 4", func(s *script, epoch int64) { s.commit(epoch, 5, 9, 3); s.offset(9) }},
		{"after its end", "while epoch 0 lives", func(s *script, epoch int64) {
			s.delete("own/events/t/0")
			s.commit(epoch, 5, 9, 4)
			s.offset(9)
		}},
		{"beside its successor", "in epoch 1, while epoch 5 lives", func(s *script, epoch int64) {
			s.delete("own/events/t/0")
			s.own("b")
			s.commit(epoch, 5, 9, 4)
			s.offset(9)
		}},
		{"offset alone", "its commits reach to 5", func(s *script, _ int64) { s.offset(9) }},
		{"swap under its claim", "", func(s *script, _ int64) {
			s.swap(s.put("claim/bucket/events/7", map[string]string{"node": "c"}), 1)
			s.offset(5)
		}},
		{"swap without a claim", "is swapped at revision 6 in epoch 4", func(s *script, _ int64) {
			epoch := s.put("claim/bucket/events/7", map[string]string{"node": "c"})
			s.delete("claim/bucket/events/7")
			s.swap(epoch, 1)
			s.offset(5)
		}},
		{"swap that skips one", "goes from sequence 0 to 2", func(s *script, _ int64) {
			s.swap(s.put("claim/bucket/events/7", map[string]string{"node": "c"}), 2)
			s.offset(5)
		}},
	} {
		s := newScript(t)
		epoch := s.own("a")
		s.offset(0)
		s.commit(epoch, 0, 5, 5)
		c.more(s, epoch)
		s.past.compareOffsets()
		found := strings.Join(s.past.problems, "\n")
		if (c.want == "") != (found == "") || !strings.Contains(found, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, found, c.want)
		}
	}
}
