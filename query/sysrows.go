package query

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"drumlin/catalog"
	"drumlin/rollup"
	"drumlin/segment"
)

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// SupervisorStates tells what only running processes know of supervisors, in Druid's words, by id; it may ask other
// processes, and ends with ctx. Supervisors that it does not name are shown as the catalog records them.
type SupervisorStates interface {
	SupervisorStates(ctx context.Context) (map[string]SupervisorState, error)
}

// SupervisorState is how a supervisor is.
type SupervisorState struct {
	State, Detailed string
	Healthy         bool
}

// maxStatesWait bounds how long other processes are asked for the states of supervisors.
const maxStatesWait = 3 * time.Second

// runningStates are those that can be had in time. sys.supervisors shows what the catalog records of the others.
func runningStates(ctx context.Context, states SupervisorStates, log *slog.Logger) map[string]SupervisorState {
	if states == nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, maxStatesWait)
	defer cancel()
	out, err := states.SupervisorStates(limited)
	if err != nil {
		log.Warn("sys.supervisors shows what the catalog records: the processes that read cannot be asked", "error", err)
	}
	return out
}

func supervisorRows(v *catalog.View, states map[string]SupervisorState) [][]any {
	var rows [][]any
	for _, id := range slices.Sorted(maps.Keys(v.Supervisors)) {
		s := v.Supervisors[id]
		state, detailed, healthy := recordedState(s)
		if known, ok := states[id]; ok {
			state, detailed, healthy = known.State, known.Detailed, known.Healthy
		}
		rows = append(rows, []any{
			s.ID, state, detailed, boolean(healthy), "kafka", sourceOf(s.Spec), boolean(s.Suspended), redactSpec(s.Spec), s.Datasource,
			s.Version, int64(len(s.Partitions)),
		})
	}
	return rows
}

// recordedState is what the catalog alone says of a supervisor.
func recordedState(s *catalog.SupervisorView) (state, detailed string, healthy bool) {
	owned, wanted := 0, 0
	noLongerRead := givenUp(s)
	for _, p := range s.Partitions {
		switch {
		case p.Owner != nil:
			owned, wanted = owned+1, wanted+1
		case !noLongerRead(p.Key.Topic):
			wanted++
		}
	}
	state, healthy = "RUNNING", true
	switch {
	case s.Suspended:
		state = "SUSPENDED"
	case owned == 0:
		state = "PENDING"
	case owned < wanted:
		state, healthy = "UNHEALTHY_TASKS", false
	}
	return state, state, healthy
}

// sourceOf is the topic, or the pattern of topics, that a spec reads.
func sourceOf(spec []byte) any {
	var s struct {
		Spec struct {
			IO struct {
				Topic        string `json:"topic"`
				TopicPattern string `json:"topicPattern"`
			} `json:"ioConfig"`
		} `json:"spec"`
	}
	if json.Unmarshal(spec, &s) != nil {
		return nil
	}
	if s.Spec.IO.Topic != "" {
		return s.Spec.IO.Topic
	}
	return s.Spec.IO.TopicPattern
}

// redactSpec hides every value of consumerProperties but the brokers' addresses: the others may be secrets. A spec that
// cannot be read is not shown at all.
func redactSpec(spec []byte) any {
	var top map[string]any
	if json.Unmarshal(spec, &top) != nil {
		return nil
	}
	inner, _ := top["spec"].(map[string]any)
	io, _ := inner["ioConfig"].(map[string]any)
	properties, _ := io["consumerProperties"].(map[string]any)
	for key := range properties {
		if key != "bootstrap.servers" {
			properties[key] = "********"
		}
	}
	out, err := json.Marshal(top)
	if err != nil {
		return nil
	}
	return string(out)
}

func serverRows(v *catalog.View) [][]any {
	owned := map[string]int64{}
	for _, s := range v.Supervisors {
		for _, p := range s.Partitions {
			if p.Owner != nil {
				owned[p.Owner.Node]++
			}
		}
	}
	var rows [][]any
	for _, id := range slices.Sorted(maps.Keys(v.Nodes)) {
		n := v.Nodes[id]
		host, portText, err := net.SplitHostPort(n.Address)
		port, portErr := strconv.ParseInt(portText, 10, 64)
		if err != nil || portErr != nil {
			host, port = n.Address, -1
		}
		rows = append(rows, []any{
			n.Address, host, port, int64(-1), strings.Join(n.Roles, ","), nil, int64(0), int64(0), nil, n.Version,
			id, strings.Join(n.Roles, ","), textOrNull(n.FlightAddress), boolean(n.Leaving), owned[id],
		})
	}
	return rows
}

const catalogName = "druid"

func schemaRows() [][]any {
	var rows [][]any
	for _, name := range []string{"INFORMATION_SCHEMA", "druid", "sys"} {
		rows = append(rows, []any{catalogName, name, nil, nil, nil, nil, nil})
	}
	return rows
}

// shownSchema is the spelling of a system table's schema.
func shownSchema(schema string) string {
	if schema == "information_schema" {
		return "INFORMATION_SCHEMA"
	}
	return schema
}

func shownTable(schema, name string) string {
	if schema == "information_schema" {
		return strings.ToUpper(name)
	}
	return name
}

func tableRows(v *catalog.View) [][]any {
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(v.Datasources)) {
		rows = append(rows, []any{catalogName, "druid", name, "TABLE", "NO", "NO"})
	}
	for _, full := range slices.Sorted(maps.Keys(systemTables)) {
		schema, name, _ := strings.Cut(full, ".")
		rows = append(rows, []any{catalogName, shownSchema(schema), shownTable(schema, name), "SYSTEM_TABLE", "NO", "NO"})
	}
	return rows
}

func columnRows(v *catalog.View) ([][]any, error) {
	var rows [][]any
	add := func(schema, table, column string, at int, nullable string, t informationType) {
		kind, jdbc := t.name, t.jdbc
		rows = append(rows, []any{
			catalogName, schema, table, column, int64(at + 1), "", nullable, kind, nil, nil, nil, nil, nil, nil,
			nil, nil, jdbc,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(v.Datasources)) {
		own, err := newOwnRules(v.Datasources[name])
		if err != nil {
			return nil, err
		}
		for i, c := range own.columns() {
			nullable := "YES"
			if c.Name == segment.TimeColumn {
				nullable = "NO"
			}
			add("druid", name, c.Name, i, nullable, informationTypeOf(c))
		}
	}
	for _, full := range slices.Sorted(maps.Keys(systemTables)) {
		schema, name, _ := strings.Cut(full, ".")
		for i, c := range systemTables[full] {
			add(shownSchema(schema), shownTable(schema, name), c.name, i, "YES", informationTypeOf(tableColumn{Column: segment.Column{Type: c.kind}}))
		}
	}
	return rows, nil
}

// informationType is a type as INFORMATION_SCHEMA.COLUMNS names it, with JDBC's number.
type informationType struct {
	name string
	jdbc int64
}

func informationTypeOf(c tableColumn) informationType {
	switch c.Type {
	case segment.TypeTime:
		return informationType{"TIMESTAMP", 93}
	case segment.TypeLong, segment.TypeInt:
		return informationType{"BIGINT", -5}
	case segment.TypeDouble:
		return informationType{"DOUBLE", 8}
	case segment.TypeFloat:
		return informationType{"FLOAT", 6}
	case segment.TypeBinary:
		if c.metric != nil && c.metric.Kind == rollup.KindQuantiles {
			return informationType{"COMPLEX<quantilesDoublesSketch>", 1111}
		}
		return informationType{"COMPLEX<HLLSketch>", 1111}
	}
	return informationType{"VARCHAR", 12}
}
