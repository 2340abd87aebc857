package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"drumlin/tests/harness"
)

// TestTopicThatTheSpecNoLongerReads changes the topic and back: what was read of the first topic stays in every answer.
func TestTopicThatTheSpecNoLongerReads(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "before", 2)
	d.CreateTopic(t, "after", 2)
	d.Apply(t, specFor("moving", "topic: before", "hour"))
	client := d.Client(t)
	now := time.Now().UnixMilli()
	harness.Produce(t, client, numbered("before", 2, 0, 100, always(now))...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM moving`, 100, settle)
	d.Apply(t, specFor("moving", "topic: after", "hour"))
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM moving`, 100, settle)
	harness.Produce(t, client, numbered("after", 2, 100, 150, always(now))...)
	harness.Produce(t, client, numbered("before", 2, 150, 200, always(now))...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM moving`, 150, settle)
	d.Kill(t)
	d.Start(t)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM moving`, 150, settle)
	d.Handoff(t, "moving")
	d.Apply(t, specFor("moving", "topicPattern: 'before|after'", "hour"))
	d.WaitSQL(t, `SELECT SUM(value) AS n FROM moving`, 200*199/2, settle)
	d.Apply(t, specFor("moving", "topicPattern: 'befor.'", "hour"))
	d.WaitSQL(t, `SELECT SUM(value) AS n FROM moving`, 200*199/2, settle)
}

// TestTopicDeletedForGood: after a restart the status tells of the topic that has gone, and once the spec leaves it out, what
// was committed of it is answered again.
func TestTopicDeletedForGood(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "gone", 2)
	d.CreateTopic(t, "stays", 1)
	d.Apply(t, specFor("gone", "topicPattern: 'gone|stays'", "hour"))
	client := d.Client(t)
	now := time.Now().UnixMilli()
	harness.Produce(t, client, numbered("gone", 2, 0, 100, always(now))...)
	d.Handoff(t, "gone")
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	if _, err := kadm.NewClient(client).DeleteTopics(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM gone`, 100, settle)
	d.Kill(t)
	d.Start(t)
	status, body, err := d.Get(ctx, "/druid/indexer/v1/supervisor/gone/status")
	if err != nil || status != 200 || !strings.Contains(string(body), `"healthy":false`) ||
		!strings.Contains(string(body), "leave the topic out of the spec") {
		t.Errorf("the status says nothing of partitions that the brokers do not list: %v %d %s", err, status, body)
	}
	d.Apply(t, specFor("gone", "topic: stays", "hour"))
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM gone`, 100, settle)
}
