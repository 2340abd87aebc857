package catalogtest

import (
	"errors"
	"testing"

	"drumlin/catalog"
	"drumlin/segment"
)

// testAppendAgain: a request that was not answered is made again until it is, and finds its own work.
func testAppendAgain(t *testing.T, factory Factory) {
	lost := map[string][]TxnFault{
		"applied":     {LoseReply, LoseRequest, LoseRequest, LoseRequest},
		"not applied": {LoseRequest, LoseRequest, LoseRequest, LoseRequest},
		"at the end":  {LoseRequest, Refuse, LoseRequest, LoseReply},
	}
	meanwhile := map[string]func(t *testing.T, e *env, s *catalog.Session){
		"nothing happens":     func(*testing.T, *env, *catalog.Session) {},
		"absorbed and reaped": func(t *testing.T, e *env, s *catalog.Session) { e.adopt(t, s, Hour(1)); e.reap(t) },
	}
	for name, faults := range lost {
		for what, do := range meanwhile {
			t.Run(name+", "+what, func(t *testing.T) {
				e := newEnv(t, factory)
				s, w := e.writer(t)
				r := w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 5})
				e.faulty.Next(faults...)
				if _, err := w.Append(t.Context(), r); !errors.Is(err, catalog.ErrUnknown) || !errors.Is(err, catalog.ErrUnanswered) {
					t.Fatalf("append without an answer: %v", err)
				}
				do(t, e, s)
				if _, err := w.Append(t.Context(), r); err != nil {
					t.Fatalf("the same append again: %v", err)
				}
				w.MustAppend(t, Hour(1), 7)
				if v := e.refresh(t); rows(v) != 12 || catalog.Verify(v) != nil {
					t.Errorf("%d rows, %v", rows(v), catalog.Verify(v))
				}
			})
		}
	}
	t.Run("fenced meanwhile", func(t *testing.T) { testAgainFenced(t, factory) })
	t.Run("acknowledge", func(t *testing.T) { testAcknowledgeAgain(t, factory) })
}

func testAgainFenced(t *testing.T, factory Factory) {
	for name, fault := range map[string]TxnFault{"applied": LoseReply, "not applied": LoseRequest} {
		e := newEnv(t, factory)
		s, w := e.writer(t)
		r := w.Request(Hour(1), 0, map[segment.Bucket]int64{Hour(1): 5})
		e.faulty.Next(fault, LoseRequest, LoseRequest, LoseRequest)
		if _, err := w.Append(t.Context(), r); !errors.Is(err, catalog.ErrUnanswered) {
			t.Fatalf("append without an answer: %v", err)
		}
		if err := s.Release(t.Context(), w.Owner); err != nil {
			t.Fatal(err)
		}
		next := Write(t, e.c, Register(t, e.c, "next"), w.Owner.PartitionKey)
		_, err := w.Append(t.Context(), r)
		if applied := fault == LoseReply; applied && err != nil || !applied && !errors.Is(err, catalog.ErrFenced) {
			t.Errorf("%s, then fenced: %v", name, err)
		}
		next.MustAppend(t, Hour(1), 7)
		want := int64(7)
		if fault == LoseReply {
			want = 12
		}
		if v := e.refresh(t); rows(v) != want || catalog.Verify(v) != nil {
			t.Errorf("%s, then fenced: %d rows, %v", name, rows(v), catalog.Verify(v))
		}
	}
}

func testAcknowledgeAgain(t *testing.T, factory Factory) {
	e := newEnv(t, factory)
	_, w := e.writer(t)
	w.MustAppend(t, Hour(1), 5)
	off, rev, _, err := e.c.ReadOffset(t.Context(), w.Owner.PartitionKey)
	if err != nil {
		t.Fatal(err)
	}
	facts := off.Facts
	facts.RetentionFloorMillis++
	e.faulty.Next(LoseReply, LoseRequest, LoseRequest, LoseRequest)
	if _, err := e.c.Acknowledge(t.Context(), w.Owner, rev, off, facts); !errors.Is(err, catalog.ErrUnanswered) {
		t.Fatalf("acknowledgement without an answer: %v", err)
	}
	after, err := e.c.Acknowledge(t.Context(), w.Owner, rev, off, facts)
	if err != nil {
		t.Fatalf("the same acknowledgement again: %v", err)
	}
	if now, mod, _, err := e.c.ReadOffset(t.Context(), w.Owner.PartitionKey); err != nil || mod != after || now.Facts != facts {
		t.Errorf("the offset is %+v at %d, not at %d: %v", now, mod, after, err)
	}
	facts.RetentionFloorMillis++
	if _, err := e.c.Acknowledge(t.Context(), w.Owner, rev, off, facts); !errors.Is(err, catalog.ErrConflict) {
		t.Errorf("another acknowledgement from the same offset: %v", err)
	}
}
