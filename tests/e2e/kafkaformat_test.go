package e2e

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

// TestPartsOfTheKafkaRecordBecomeColumns is the worked example of Druid's documentation, hot and cold.
func TestPartsOfTheKafkaRecordBecomeColumns(t *testing.T) {
	d := harness.Started(t, binary)
	d.CreateTopic(t, "wiki-edits", 2)
	d.Apply(t, []byte(`{"type":"kafka","spec":{
	  "dataSchema":{"dataSource":"edits","timestampSpec":{"column":"kafka.timestamp","format":"millis"},
	    "dimensionsSpec":{"dimensions":["kafka.key","kafka.topic","kafka.header.env","kafka.header.zone","channel",
	      {"type":"long","name":"kafka.partition"},{"type":"long","name":"kafka.offset"},{"type":"long","name":"delta"}]},
	    "granularitySpec":{"segmentGranularity":"day","queryGranularity":"none","rollup":false}},
	  "ioConfig":{"topic":"wiki-edits","useEarliestOffset":true,"inputFormat":{"type":"kafka",
	    "headerFormat":{"type":"string"},"headerColumnPrefix":"kafka.header.",
	    "keyFormat":{"type":"tsv","findColumnsFromHeader":false,"columns":["x"]},"valueFormat":{"type":"json"}}}}}`))
	harness.Produce(t, d.Client(t),
		&kgo.Record{Topic: "wiki-edits", Partition: 1, Value: []byte(`{"channel":"#sv","delta":0}`), Timestamp: time.UnixMilli(1680795276000)},
		&kgo.Record{
			Topic: "wiki-edits", Partition: 1, Key: []byte("wiki-edit"), Timestamp: time.UnixMilli(1680795276351),
			Headers: []kgo.RecordHeader{{Key: "env", Value: []byte("development")}, {Key: "zone", Value: []byte("z1")}},
			Value:   []byte(`{"channel":"#sv.wikipedia","timestamp":"2016-06-27T00:00:11.080Z","delta":31}`),
		})
	d.WaitSQL(t, `SELECT COUNT(*) AS n FROM edits`, 2, settle)
	check := func() {
		t.Helper()
		row := d.SQL(t, `SELECT * FROM edits WHERE "kafka.key" IS NOT NULL`).Rows[0]
		for column, want := range map[string]any{
			"__time": "2023-04-06T15:34:36.351Z", "kafka.key": "wiki-edit", "kafka.topic": "wiki-edits", "kafka.header.env": "development",
			"kafka.header.zone": "z1", "channel": "#sv.wikipedia", "kafka.partition": number(1), "kafka.offset": number(1), "delta": number(31),
		} {
			if row[column] != want {
				t.Errorf("%s is %v, want %v", column, row[column], want)
			}
		}
	}
	check()
	d.Handoff(t, "edits")
	check()
}
