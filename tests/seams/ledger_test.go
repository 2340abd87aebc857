package seams

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/query"
)

const (
	baseMillis = 1767225600000 // 2026-01-01T00:00:00Z
	hourMillis = 3_600_000
	partitions = 4
	hours      = 3
)

// event is one record; one that is bad is no JSON. Copies of one id have everything in common but n.
type event struct {
	id     string // empty: none
	n      int64
	m      int64
	millis int64
	bad    bool
}

// group is the dimension of the rolled-up table.
func (e event) group() string { return fmt.Sprint("k", e.m%5) }

func (e event) value() string {
	switch {
	case e.bad:
		return "{"
	case e.id == "":
		return fmt.Sprintf(`{"n": %d, "ts": %d, "x": "x%d", "m": %d, "k": %q}`, e.n, e.millis, e.n, e.m, e.group())
	}
	return fmt.Sprintf(`{"id": %q, "n": %d, "ts": %d, "x": "x%d", "m": %d, "k": %q}`, e.id, e.n, e.millis, e.n, e.m, e.group())
}

// ledger is the log, as it was produced.
type ledger struct {
	mu     sync.Mutex
	client *kgo.Client
	random *rand.Rand
	log    [partitions][]event
	next   int
}

// produce writes some events, a third of which are copies of earlier ones with another value.
func (l *ledger) produce(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var records []*kgo.Record
	for range n {
		l.next++
		id := l.next
		if l.random.IntN(3) == 0 {
			id = 1 + l.random.IntN(l.next)
		}
		// A retry carries the event's own time.
		e := event{id: fmt.Sprintf("id-%d", id), n: int64(l.next), m: int64(id), millis: baseMillis + int64(id%hours)*hourMillis + int64(id%1000)}
		switch l.random.IntN(12) {
		case 0:
			e.id = ""
		case 1:
			e.bad = true
		}
		p := l.random.IntN(partitions)
		records = append(records, &kgo.Record{
			Topic: topic, Partition: int32(p), Value: []byte(e.value()), Timestamp: time.UnixMilli(baseMillis + hours*hourMillis),
		})
		l.log[p] = append(l.log[p], e)
	}
	results := l.client.ProduceSync(context.Background(), records...)
	if err := results.FirstErr(); err != nil {
		t.Errorf("produce: %v", err)
	}
}

// cutOf is the answer's offset of each partition.
func cutOf(c query.Cut, table string) (cut [partitions]int64) {
	for _, p := range c.Datasources[table][table] {
		cut[p.Partition] = p.Offset
	}
	return cut
}

// expect computes what counts below a cut: of each identity the copy at the lowest position.
func (l *ledger) expect(cut [partitions]int64) (rows []event, rejects int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]bool{}
	for p, log := range l.log {
		for _, e := range log[:min(int(cut[p]), len(log))] {
			key := fmt.Sprint(e.id, e.millis/hourMillis)
			switch {
			case e.bad:
				rejects++
			case e.id != "" && seen[key]:
			default:
				seen[key] = true
				rows = append(rows, e)
			}
		}
	}
	return rows, rejects
}

// whole says whether the cut is the whole log.
func (l *ledger) whole(cut [partitions]int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, log := range l.log {
		if cut[p] != int64(len(log)) {
			return false
		}
	}
	return true
}

// question is a statement, and what it must give of the rows that count.
type question struct {
	table, sql string
	want       func(rows []event, rejects int) []string
}

func questions(random *rand.Rand) question {
	from, to := baseMillis+int64(random.IntN(hours))*hourMillis, baseMillis+int64(1+random.IntN(hours))*hourMillis
	from += int64(random.IntN(2) * 500)
	return []question{
		{topic, "SELECT id, n FROM " + topic, func(rows []event, _ int) (out []string) {
			for _, e := range rows {
				id := fmt.Sprintf("%q", e.id)
				if e.id == "" {
					id = "null"
				}
				out = append(out, fmt.Sprintf("%s %d", id, e.n))
			}
			return out
		}},
		{topic, "SELECT COUNT(*) FROM " + topic, func(rows []event, _ int) []string { return []string{fmt.Sprint(len(rows))} }},
		{
			topic, fmt.Sprintf("SELECT COUNT(*), COALESCE(SUM(n), 0) FROM %s WHERE __time >= MILLIS_TO_TIMESTAMP(%d) AND __time < MILLIS_TO_TIMESTAMP(%d)", topic, from, to),
			func(rows []event, _ int) []string {
				var count, sum int64
				for _, e := range rows {
					if e.millis >= from && e.millis < to {
						count, sum = count+1, sum+e.n
					}
				}
				return []string{fmt.Sprint(count, " ", sum)}
			},
		},
		{topic, "SELECT COUNT(*) FROM sys.rejects WHERE datasource = '" + topic + "'", func(_ []event, rejects int) []string { return []string{fmt.Sprint(rejects)} }},
		{sums, "SELECT k, SUM(cnt), SUM(m) FROM " + sums + " GROUP BY k", func(rows []event, _ int) []string { return grouped(rows, 0, math.MaxInt64) }},
		{
			sums, fmt.Sprintf("SELECT k, SUM(cnt), SUM(m) FROM %s WHERE __time >= MILLIS_TO_TIMESTAMP(%d) AND __time < MILLIS_TO_TIMESTAMP(%d) GROUP BY k",
				sums, from/hourMillis*hourMillis, to),
			func(rows []event, _ int) []string { return grouped(rows, from/hourMillis*hourMillis, to) },
		},
		{sums, "SELECT COUNT(*) FROM " + sums, func(rows []event, _ int) []string {
			groups := map[string]bool{}
			for _, e := range rows {
				groups[fmt.Sprint(e.millis/hourMillis, e.group())] = true
			}
			return []string{fmt.Sprint(len(groups))}
		}},
	}[random.IntN(7)]
}

// grouped is what the rolled-up table has of the rows of these times.
func grouped(rows []event, from, to int64) (out []string) {
	counts, sums := map[string]int64{}, map[string]int64{}
	for _, e := range rows {
		if e.millis >= from && e.millis < to {
			counts[e.group()]++
			sums[e.group()] += e.m
		}
	}
	for k, n := range counts {
		out = append(out, fmt.Sprintf("%q %d %d", k, n, sums[k]))
	}
	return out
}

// lines are an answer's rows, sorted.
func lines(a *query.Answer) []string {
	var out []string
	for a.Next() {
		var line []string
		for i := range a.Columns {
			line = append(line, string(a.AppendJSON(nil, i)))
		}
		out = append(out, strings.Join(line, " "))
	}
	slices.Sort(out)
	return out
}
