package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"drumlin/tests/oracle"
)

// askBudget is how long one request may take that must be answered, however busy the machine.
const askBudget = 2 * time.Minute

// Answer is what the SQL path returned.
type Answer struct {
	Status int
	Body   []byte
	Rows   []map[string]any // numbers are json.Number
	Cut    json.RawMessage  // X-Drumlin-Cut
}

// Ask sends one query; only a failure to talk is an error.
func (a *Asker) Ask(ctx context.Context, sql string) (*Answer, error) {
	body, err := json.Marshal(map[string]any{"query": sql, "resultFormat": "object"})
	if err != nil {
		return nil, err
	}
	var header http.Header
	status, out, err := a.do(ctx, http.MethodPost, sqlPath, body, &header)
	if err != nil {
		return nil, err
	}
	answer := &Answer{Status: status, Body: out, Cut: json.RawMessage(header.Get("X-Drumlin-Cut"))}
	if status == http.StatusOK {
		decoder := json.NewDecoder(bytes.NewReader(out))
		decoder.UseNumber()
		if err := decoder.Decode(&answer.Rows); err != nil {
			return nil, fmt.Errorf("decode the answer %.200q: %w", out, err)
		}
	}
	return answer, nil
}

// SQL asks a query that must be answered.
func (a *Asker) SQL(t testing.TB, sql string) *Answer {
	t.Helper()
	return a.SQLWithin(t, sql, askBudget)
}

// SQLWithin asks a query that must be answered within the budget.
func (a *Asker) SQLWithin(t testing.TB, sql string, budget time.Duration) *Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	answer, err := a.Ask(ctx, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if answer.Status != http.StatusOK {
		t.Fatalf("%s: %d %s", sql, answer.Status, answer.Body)
	}
	return answer
}

// Int is the integer in the named column of the first row.
func (a *Answer) Int(t testing.TB, column string) int64 {
	t.Helper()
	if len(a.Rows) == 0 {
		t.Fatalf("no rows, column %s wanted", column)
	}
	n, ok := a.Rows[0][column].(json.Number)
	if !ok {
		t.Fatalf("column %s is %v in %s", column, a.Rows[0][column], a.Body)
	}
	v, err := n.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Offsets reads the offsets of one datasource out of the cut, for an oracle. Generations other than 0 are refused.
func (a *Answer) Offsets(t testing.TB, datasource string) oracle.Cut {
	t.Helper()
	cut, err := a.offsets(datasource)
	if err != nil {
		t.Fatal(err)
	}
	return cut
}

func (a *Answer) offsets(datasource string) (oracle.Cut, error) {
	var cut struct {
		Datasources map[string]map[string][]struct { // by datasource and supervisor
			Topic      string `json:"topic"`
			Generation int32  `json:"generation"`
			Partition  int32  `json:"partition"`
			Offset     int64  `json:"offset"`
		} `json:"datasources"`
	}
	if err := json.Unmarshal(a.Cut, &cut); err != nil {
		return nil, fmt.Errorf("read the cut %q: %w", a.Cut, err)
	}
	out := oracle.Cut{}
	for _, partitions := range cut.Datasources[datasource] {
		for _, p := range partitions {
			if p.Generation != 0 {
				return nil, fmt.Errorf("the cut names generation %d of topic %s", p.Generation, p.Topic)
			}
			if out[p.Topic] == nil {
				out[p.Topic] = map[int32]int64{}
			}
			out[p.Topic][p.Partition] = p.Offset
		}
	}
	return out, nil
}

// The pauses between questions that are asked until the answer is the wanted one. They grow: questions take time from those who
// work on the answer.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 80 * time.Millisecond
)

// WaitSQL asks until the single integer in column n of the answer is want, and fails after the budget.
func (a *Asker) WaitSQL(t testing.TB, sql string, want int64, budget time.Duration) {
	t.Helper()
	deadline, pause := time.Now().Add(budget), firstPause
	for {
		got := a.SQL(t, sql).Int(t, "n")
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d after %s, want %d", sql, got, budget, want)
		}
		time.Sleep(pause)
		pause = min(2*pause, lastPause)
	}
}

// Apply submits a spec that must be accepted.
func (a *Asker) Apply(t testing.TB, spec []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), askBudget)
	defer cancel()
	status, body, err := a.Post(ctx, "/druid/indexer/v1/supervisor", spec)
	if err != nil || status != http.StatusOK {
		t.Fatalf("submit the spec: %v, %d %s", err, status, body)
	}
}

// ApplyFile submits a spec file that must be accepted.
func (a *Asker) ApplyFile(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Apply(t, data)
}

// Handoff hands the supervisor's hot rows off; it must succeed. Where nobody reads a partition at the moment (on a busy
// machine the lease of the only process that does so may end) it is refused at once, and asked for again.
func (a *Asker) Handoff(t testing.TB, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), askBudget)
	defer cancel()
	for {
		status, body, err := a.Post(ctx, "/druid/indexer/v1/supervisor/"+id+"/taskGroups/handoff", nil)
		switch {
		case err == nil && status == http.StatusOK:
			return
		case err != nil || status != http.StatusServiceUnavailable:
			t.Fatalf("hand off %s: %v, %d %s", id, err, status, body)
		}
		t.Logf("hand off %s: %s", id, body)
		select {
		case <-ctx.Done():
			t.Fatalf("hand off %s: not within %s: %s", id, askBudget, body)
		case <-time.After(time.Second):
		}
	}
}
