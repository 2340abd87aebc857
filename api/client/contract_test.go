package client_test

import (
	"reflect"
	"strings"
	"testing"

	"drumlin/api"
	"drumlin/api/client"
	"drumlin/compaction"
	"drumlin/coordinator"
)

// TestTheClientReadsWhatTheCoordinatorReports holds the two sides of the status report together.
func TestTheClientReadsWhatTheCoordinatorReports(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{reflect.TypeFor[client.StatusPayload](), reflect.TypeFor[coordinator.Status]()},
		{reflect.TypeFor[client.PartitionStatus](), reflect.TypeFor[coordinator.PartitionStatus]()},
		{reflect.TypeFor[client.StatusError](), reflect.TypeFor[coordinator.RecentError]()},
	} {
		sent := map[string]bool{}
		for i := range pair[1].NumField() {
			name, _, _ := strings.Cut(pair[1].Field(i).Tag.Get("json"), ",")
			sent[name] = true
		}
		for i := range pair[0].NumField() {
			if name := pair[0].Field(i).Tag.Get("json"); !sent[name] {
				t.Errorf("%s reads %q, which %s does not have", pair[0], name, pair[1])
			}
		}
	}
}

// TestTheClientReadsWhatTasksAndCompactionReport holds the two sides of tasks, reports and explanations together.
func TestTheClientReadsWhatTasksAndCompactionReport(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{reflect.TypeFor[client.Task](), reflect.TypeFor[api.Task]()},
		{reflect.TypeFor[client.TaskLocation](), reflect.TypeFor[api.TaskLocation]()},
		{reflect.TypeFor[client.CompactionStatus](), reflect.TypeFor[api.CompactionStatus]()},
		{reflect.TypeFor[client.Explanation](), reflect.TypeFor[coordinator.Explanation]()},
		{reflect.TypeFor[client.PolicyExplanation](), reflect.TypeFor[coordinator.PolicyExplanation]()},
		{reflect.TypeFor[client.ChunkExplanation](), reflect.TypeFor[coordinator.ChunkExplanation]()},
		{reflect.TypeFor[client.CompactionReport](), reflect.TypeFor[compaction.Report]()},
		{reflect.TypeFor[client.ChunkReport](), reflect.TypeFor[compaction.ChunkReport]()},
		{reflect.TypeFor[client.Shape](), reflect.TypeFor[compaction.Shape]()},
		{reflect.TypeFor[client.CompactionStats](), reflect.TypeFor[compaction.Stats]()},
		// The api's own shapes are filled from the coordinator's.
		{reflect.TypeFor[api.Task](), reflect.TypeFor[coordinator.TaskStatus]()},
		{reflect.TypeFor[api.CompactionStatus](), reflect.TypeFor[coordinator.CompactionStatus]()},
	} {
		sent := jsonNames(pair[1])
		for name := range jsonNames(pair[0]) {
			if !sent[name] {
				t.Errorf("%s reads %q, which %s does not have", pair[0], name, pair[1])
			}
		}
	}
}

func jsonNames(of reflect.Type) map[string]bool {
	names := map[string]bool{}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}
