package metamorphic

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"

	"drumlin/consumer"
	"drumlin/consumer/decode"
	"drumlin/spec"
)

const (
	hourMillis = int64(3_600_000)
	dayMillis  = 24 * hourMillis
	// firstMillis is 2026-03-01T00:00:00Z; events lie in logHours hours from it, spread over two days.
	firstMillis = int64(1772323200000)
)

// logHours are the hours that events fall into.
var logHours = []int64{0, 1, 2, 3, 22, 23, 24, 25}

// place names a partition of the log.
type place struct {
	topic     string
	partition int32
}

// entry is one record of the frozen log.
type entry struct {
	kafkaMillis int64
	value       string
}

// frozenLog is the whole log; a broker reveals it step by step.
type frozenLog struct {
	places []place // the last one is added late
	parts  map[place][]entry
}

// event is a record before it is written as JSON.
type event struct {
	millis int64
	id     string // empty: none
	fields map[string]any
}

// newLog makes a log from its seed. A copy has the id and the hour of an earlier event of any partition.
func newLog(r *rand.Rand) *frozenLog {
	l := &frozenLog{parts: map[place][]entry{}, places: []place{{"events", 0}, {"events", 1}}}
	if r.IntN(2) == 0 {
		l.places = append(l.places, place{"events.b", 0})
	}
	l.places = append(l.places, place{"events", 2})
	var past []event
	clocks := map[place]int64{}
	for n := 60*len(l.places) + r.IntN(60); n > 0; n-- {
		at := l.places[r.IntN(len(l.places))]
		if clocks[at] == 0 {
			clocks[at] = firstMillis + 4*hourMillis
		}
		clocks[at] += r.Int64N(30 * 60_000)
		kafka := clocks[at] - r.Int64N(2)*r.Int64N(hourMillis)
		value := ""
		switch e := (event{}); {
		case r.IntN(25) == 0:
			value = pick(r, `{"t":`, `[1]`, `{"id":"x"}`, fmt.Sprintf(`{"t":%d,"n":"many"}`, firstMillis),
				fmt.Sprintf(`{"t":%d,"n":1}`, kafka+2*dayMillis), `{"t":-5}`)
		case r.IntN(5) < 2 && len(past) > 0:
			e = copyOf(r, past[r.IntN(len(past))])
			value = e.text()
		default:
			e = newEvent(r, len(past))
			past = append(past, e)
			value = e.text()
		}
		l.parts[at] = append(l.parts[at], entry{kafka, value})
	}
	return l
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func newEvent(r *rand.Rand, number int) event {
	hour := logHours[min(r.IntN(len(logHours)), r.IntN(len(logHours)+2))]
	e := event{millis: firstMillis + hour*hourMillis + r.Int64N(4)*600_000 + r.Int64N(3)*20_000 + r.Int64N(2)*7, fields: map[string]any{}}
	if r.IntN(7) > 0 {
		e.id = fmt.Sprintf("id-%d", number)
		if r.IntN(2) == 0 {
			e.id = fmt.Sprintf("0f8fad5b-d9cb-469f-a165-%012d", number)
		}
	}
	e.fill(r)
	return e
}

// copyOf is a retry: mostly of equal content, else with other dimensions and metrics, and another time of the same hour.
func copyOf(r *rand.Rand, of event) event {
	if of.id == "" || r.IntN(5) < 2 {
		return of
	}
	e := event{id: of.id, millis: of.millis, fields: map[string]any{}}
	if r.IntN(2) == 0 {
		e.millis = of.millis - of.millis%hourMillis + r.Int64N(6)*600_000
	}
	e.fill(r)
	return e
}

func (e *event) fill(r *rand.Rand) {
	set := func(name string, v any) {
		if r.IntN(8) > 0 {
			e.fields[name] = v
		} else if r.IntN(2) == 0 {
			e.fields[name] = nil
		}
	}
	set("page", pick(r, "p1", "p2", "p3", "drop"))
	set("country", pick(r, "de", "fr"))
	set("kind", pick(r, 0.0, 1.5, -2.25, 7))
	set("n", pick[any](r, r.IntN(500)-100, fmt.Sprint(r.IntN(90))))
	set("price", float64(r.IntN(20_000)-3000)/100)
	set("user", fmt.Sprintf("u%d", r.IntN(40)))
	set("extra", pick(r, "x", "y"))
}

func (e *event) text() string {
	out := map[string]any{"t": e.millis}
	if e.id != "" {
		out["id"] = e.id
	}
	for k, v := range e.fields {
		out[k] = v
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// broker serves what has been revealed of a log.
type broker struct {
	log *frozenLog

	mu       sync.Mutex
	revealed map[place]int64
	changed  chan struct{}
}

var _ consumer.Broker = (*broker)(nil)

func newBroker(l *frozenLog) *broker {
	return &broker{log: l, revealed: map[place]int64{}, changed: make(chan struct{})}
}

// reveal shows up to n more records, and returns the new end.
func (b *broker) reveal(at place, n int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revealed[at] = min(b.revealed[at]+n, int64(len(b.log.parts[at])))
	close(b.changed)
	b.changed = make(chan struct{})
	return b.revealed[at]
}

func (b *broker) end(at place) (int64, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revealed[at], b.changed
}

const topicID = "000102030405060708090a0b0c0d0e0f"

func (b *broker) Open(_ context.Context, r consumer.OpenRequest) (consumer.Source, error) {
	return &source{b: b, at: place{r.Topic, r.Partition}, next: r.Offset}, nil
}

func (b *broker) Bounds(_ context.Context, _ *spec.Supervisor, topic string, partition int32) (consumer.Bounds, error) {
	end, _ := b.end(place{topic, partition})
	return consumer.Bounds{TopicID: topicID, StableEnd: end, End: end}, nil
}

func (b *broker) Advise(context.Context, []consumer.Advice) error { return nil }

type source struct {
	b    *broker
	at   place
	next int64
}

func (s *source) Close() {}

func (s *source) Poll(ctx context.Context) (consumer.Fetch, error) {
	for {
		end, changed := s.b.end(s.at)
		if s.next < end {
			out := consumer.Fetch{TopicID: topicID, StableEnd: end}
			for ; s.next < end; s.next++ {
				e := s.b.log.parts[s.at][s.next]
				out.Records = append(out.Records, consumer.Record{LeaderEpoch: 1, Record: decode.Record{
					Topic: s.at.topic, Partition: s.at.partition, Offset: s.next, TimestampMillis: e.kafkaMillis, Value: []byte(e.value),
				}})
			}
			return out, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return consumer.Fetch{}, ctx.Err()
		}
	}
}
