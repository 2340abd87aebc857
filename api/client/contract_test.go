package client_test

import (
	"reflect"
	"strings"
	"testing"

	"drumlin/api/client"
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
