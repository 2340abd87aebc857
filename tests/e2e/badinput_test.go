package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

const badSpec = `
type: kafka
spec:
  dataSchema:
    dataSource: bad
    timestampSpec: {column: t, format: auto}
    dimensionsSpec:
      dimensions: [s, {type: long, name: l}, {type: double, name: d}, {type: json, name: j}]
    granularitySpec: {segmentGranularity: day, queryGranularity: none, rollup: false}
  ioConfig:
    topic: bad
    inputFormat: {type: json}
    useEarliestOffset: true
`

// badInputs are records that must end in sys.rejects, each with the reason that it must name.
func badInputs(now int64) []struct{ name, reason, value string } {
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	with := func(rest string) string { return fmt.Sprintf(`{"t":%d,%s}`, now, rest) }
	return []struct{ name, reason, value string }{
		{"malformed", "malformed_json", `{"t":1,`},
		{"garbage behind", "malformed_json", with(`"s":"a"`) + ` x`},
		{"invalid UTF-8", "invalid_utf8", with("\"s\":\"\xff\xfe\"")},
		{"deep nesting", "nesting_too_deep", with(`"j":` + deep)},
		{"10 MiB", "record_too_large", with(`"s":"` + strings.Repeat("x", 10<<20) + `"`)},
		{"empty", "empty_record", ""},
		{"array at top level", "not_an_object", `[1,2]`},
		{"scalar at top level", "not_an_object", `7`},
		{"no timestamp", "missing_timestamp", `{"s":"a"}`},
		{"unreadable timestamp", "bad_timestamp", `{"t":"yesterday"}`},
		{"year 1", "", `{"t":"0001-01-01T00:00:00Z"}`},
		{"year 292277026596", "", `{"t":"292277026596-12-04T15:30:08Z"}`},
		{"integer past int64", "unconvertible_value", with(`"l":9223372036854775808`)},
		{"text for a long", "unconvertible_value", with(`"l":"seven"`)},
		{"NaN literal", "malformed_json", with(`"d":NaN`)},
		{"duplicate keys", "duplicate_key", with(`"s":"a","s":"b"`)},
	}
}

func TestBadInputIsCountedAndKeptWhileIngestionGoesOn(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "bad", 1)
	d.Apply(t, []byte(badSpec))
	client := d.Client(t)
	now := time.Now().UnixMilli()
	inputs := badInputs(now)
	for i, input := range inputs {
		harness.Produce(t, client,
			&kgo.Record{Topic: "bad", Value: []byte(input.value)},
			&kgo.Record{Topic: "bad", Value: fmt.Appendf(nil, `{"t":%d,"s":"good %d","l":1,"d":0.5,"j":{"a":[1]}}`, now, i)})
	}
	tombstone := harness.Produce(t, client, &kgo.Record{Topic: "bad", Key: []byte("k"), Value: nil})
	check := func(state string) {
		t.Helper()
		d.WaitSQL(t, `SELECT COUNT(*) AS n FROM bad`, int64(len(inputs)), settle)
		d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.rejects WHERE datasource = 'bad'`, int64(len(inputs)+1), settle)
		for i, input := range inputs {
			rows := d.SQL(t, fmt.Sprintf(`SELECT reason, message, raw, raw_bytes FROM sys.rejects WHERE "partition" = 0 AND "offset" = %d`, 2*i)).Rows
			if len(rows) != 1 {
				t.Errorf("%s: %s: %d rejects at its position", state, input.name, len(rows))
				continue
			}
			row := rows[0]
			if input.reason != "" && row["reason"] != input.reason {
				t.Errorf("%s: %s: reason %v (%v), want %s", state, input.name, row["reason"], row["message"], input.reason)
			}
			if row["raw_bytes"] != number(int64(len(input.value))) || row["message"] == "" {
				t.Errorf("%s: %s: %v bytes, message %q", state, input.name, row["raw_bytes"], row["message"])
			}
		}
		if n := d.SQL(t, fmt.Sprintf(`SELECT COUNT(*) AS n FROM sys.rejects WHERE "offset" = %d`, tombstone[0].Offset)).Int(t, "n"); n != 1 {
			t.Errorf("%s: the tombstone is not among the rejects", state)
		}
	}
	check("hot")
	d.Handoff(t, "bad")
	check("cold")
	harness.Produce(t, client, &kgo.Record{Topic: "bad", Value: bytes.Repeat([]byte("{"), 5000)})
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM sys.rejects`, int64(len(inputs)+2), settle)
	status := d.MustRun(t, "status")
	if !strings.Contains(status, "bad") {
		t.Errorf("status does not name the supervisor:\n%s", status)
	}
}
