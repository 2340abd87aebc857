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

// TestLostRecordsHaltUntilThePolicyAcceptsThem: records that retention took before they were read stop the partition, loudly
// and with their exact range; the policy records them as lost.
func TestLostRecordsHaltUntilThePolicyAcceptsThem(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "lossy", 1)
	spec := specFor("lossy", "topic: lossy", "hour")
	d.Apply(t, spec)
	client := d.Client(t)
	now := time.Now().UnixMilli()
	harness.Produce(t, client, numbered("lossy", 1, 0, 100, always(now))...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM lossy`, 100, settle)
	d.Apply(t, append([]byte("suspended: true"), spec...))
	harness.Produce(t, client, numbered("lossy", 1, 100, 200, always(now))...)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM lossy`, 100, settle)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.supervisors WHERE detailed_state = 'SUSPENDED'`, 1, settle)
	var offsets kadm.Offsets
	offsets.AddOffset("lossy", 0, 150, -1)
	if _, err := kadm.NewClient(client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	d.Apply(t, spec)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.supervisors WHERE state = 'UNHEALTHY_TASKS' AND healthy = 0`, 1, settle)
	answer, err := d.Ask(t.Context(), `SELECT COUNT(*) FROM lossy`)
	if err != nil || answer.Status != 503 || !strings.Contains(string(answer.Body), "offsets 100 to 149 of lossy partition 0 are lost") {
		t.Errorf("an answer without the lost records: %v, %d %s", err, answer.Status, answer.Body)
	}
	d.Apply(t, append(spec, "  tuningConfig: {type: kafka, resetOffsetAutomatically: true}\n"...))
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM lossy`, 150, settle)
	d.Handoff(t, "lossy")
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM lossy`, 150, settle)
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.supervisors WHERE state = 'RUNNING' AND healthy = 1`, 1, settle)
}
