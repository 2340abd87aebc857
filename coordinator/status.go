package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"drumlin/catalog"
	"drumlin/consumer"
	"drumlin/segment"
	"drumlin/spec"
)

// State is a supervisor's state, in Druid's words.
type State string

// The states.
const (
	StatePending             State = "PENDING"   // its topics have not been asked for yet
	StateRunning             State = "RUNNING"   // also where its topic does not exist yet
	StateSuspended           State = "SUSPENDED" // reads nothing
	StateStopping            State = "STOPPING"  // suspended, and handing off for the last time
	StateUnhealthySupervisor State = "UNHEALTHY_SUPERVISOR"
	StateUnhealthyTasks      State = "UNHEALTHY_TASKS" // a partition halts or cannot be read

	// Detailed states beside those above.
	StateConnecting State = "CONNECTING_TO_STREAM"
	StateNoStream   State = "UNABLE_TO_CONNECT_TO_STREAM"
	StateLostStream State = "LOST_CONTACT_WITH_STREAM"
	StateIdle       State = "IDLE" // there is nothing to read: no topic, or no partition
)

// Summary is a supervisor as lists show it.
type Summary struct {
	ID            string          `json:"id"`
	State         State           `json:"state"`
	DetailedState State           `json:"detailedState"`
	Healthy       bool            `json:"healthy"`
	Suspended     bool            `json:"suspended"`
	DataSource    string          `json:"dataSource"`
	Version       int64           `json:"version"`
	Spec          json.RawMessage `json:"spec"` // canonical, without secrets
}

// Status is a supervisor's report in Druid's shape, with Partitions' facts in PartitionStatus added.
type Status struct {
	DataSource         string            `json:"dataSource"`
	Stream             string            `json:"stream"`
	Partitions         int               `json:"partitions"`
	Replicas           int               `json:"replicas"`
	DurationSeconds    int64             `json:"durationSeconds"`
	ActiveTasks        []Task            `json:"activeTasks"`
	PublishingTasks    []Task            `json:"publishingTasks"`
	LatestOffsets      map[string]int64  `json:"latestOffsets,omitempty"`
	MinimumLag         map[string]int64  `json:"minimumLag,omitempty"`
	AggregateLag       *int64            `json:"aggregateLag,omitempty"`
	OffsetsLastUpdated string            `json:"offsetsLastUpdated,omitempty"`
	Suspended          bool              `json:"suspended"`
	Healthy            bool              `json:"healthy"`
	State              State             `json:"state"`
	DetailedState      State             `json:"detailedState"`
	RecentErrors       []RecentError     `json:"recentErrors"`
	Version            int64             `json:"version"`
	Warnings           []string          `json:"warnings,omitempty"` // fields of the spec that have no effect
	PartitionStatus    []PartitionStatus `json:"partitionStatus"`
}

// Task is one partition's worker as Druid shows tasks.
type Task struct {
	ID              string           `json:"id"`
	StartingOffsets map[string]int64 `json:"startingOffsets"`
	StartTime       string           `json:"startTime"`
	Type            string           `json:"type"`
	CurrentOffsets  map[string]int64 `json:"currentOffsets"`
	Lag             map[string]int64 `json:"lag"`
}

// RecentError is a failure that is being retried, or that halts a partition.
type RecentError struct {
	Timestamp string `json:"timestamp,omitempty"`
	Message   string `json:"message"`
}

// PartitionStatus is one partition. What only its reader knows is absent where that is another process.
type PartitionStatus struct {
	Topic           string         `json:"topic"`
	Partition       int32          `json:"partition"`
	Generation      int32          `json:"generation"`
	Owner           string         `json:"owner,omitempty"` // node; empty: nobody
	State           consumer.State `json:"state,omitempty"`
	CommittedOffset *int64         `json:"committedOffset,omitempty"`
	CurrentOffset   *int64         `json:"currentOffset,omitempty"`
	LatestOffset    *int64         `json:"latestOffset,omitempty"`
	Lag             *int64         `json:"lag,omitempty"`
	// Records behind an open transaction, which nobody may read yet, and since when the end of what is decided has not moved.
	UndecidedRecords int64            `json:"undecidedRecords,omitempty"`
	UndecidedSince   string           `json:"undecidedSince,omitempty"`
	HotRows          int64            `json:"hotRows"`
	HotBytes         int64            `json:"hotBytes"`
	SpecVersion      int64            `json:"specVersion,omitempty"` // by which records are read
	LastCommit       string           `json:"lastCommit,omitempty"`
	Counters         segment.Counters `json:"counters"` // of what is committed
	Halted           string           `json:"halted,omitempty"`
	Error            string           `json:"error,omitempty"`
	// Of an error of a handoff: since when attempts fail, and how many have in a row.
	FailingSince   string `json:"failingSince,omitempty"`
	FailedAttempts int    `json:"failedAttempts,omitempty"`
	// Since when the brokers have answered its reader nothing.
	SilentSince string `json:"silentSince,omitempty"`
}

// List returns all supervisors by id. It asks each other process once, for a second at most.
func (c *Coordinator) List(ctx context.Context) ([]Summary, error) {
	view := c.o.Catalog.View()
	others := c.askPeers(ctx, slices.Collect(maps.Values(view.Supervisors))...)
	out := make([]Summary, 0, len(view.Supervisors))
	for _, id := range slices.Sorted(maps.Keys(view.Supervisors)) {
		s, err := c.summary(view.Supervisors[id], others)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Get returns one supervisor. It asks each other process once, for a second at most.
func (c *Coordinator) Get(ctx context.Context, id string) (Summary, error) {
	v, err := c.supervisor(id)
	if err != nil {
		return Summary{}, err
	}
	return c.summary(v, c.askPeers(ctx, v))
}

func (c *Coordinator) summary(v *catalog.SupervisorView, others remote) (Summary, error) {
	redacted, err := spec.RedactedSpec(v.Spec)
	if err != nil {
		return Summary{}, fmt.Errorf("show supervisor %s: %w", v.ID, err)
	}
	s := c.status(v, others)
	return Summary{
		ID: v.ID, State: s.State, DetailedState: s.DetailedState, Healthy: s.Healthy, Suspended: v.Suspended,
		DataSource: v.Datasource, Version: v.Version, Spec: redacted,
	}, nil
}

// Status returns one supervisor's report: what this process knows of the partitions that it reads, and the others of theirs.
func (c *Coordinator) Status(ctx context.Context, id string) (*Status, error) {
	v, err := c.supervisor(id)
	if err != nil {
		return nil, err
	}
	s := c.status(v, c.askPeers(ctx, v))
	_, s.Warnings, _ = spec.Parse(v.Spec) // a spec that cannot be parsed stands in RecentErrors
	return s, nil
}

func (c *Coordinator) status(v *catalog.SupervisorView, others remote) *Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.follow(v)
	s := &Status{
		DataSource: v.Datasource, Replicas: 1, Suspended: v.Suspended, Version: v.Version, ActiveTasks: []Task{},
		PublishingTasks: []Task{}, RecentErrors: []RecentError{}, PartitionStatus: []PartitionStatus{},
	}
	if d.spec != nil {
		s.Stream = d.spec.IO.Topic + d.spec.IO.TopicPattern
		s.DurationSeconds = d.spec.Tuning.IntermediateHandoffMillis / 1000
	}
	manyTopics := d.spec != nil && d.spec.IO.TopicPattern != ""
	keys := map[catalog.PartitionKey]bool{}
	for key := range v.Partitions {
		keys[key] = true
	}
	if !v.Suspended {
		maps.Copy(keys, d.partitions)
	}
	whole := true // the lag of all that is to be read is known
	for _, key := range sortedKeys(keys) {
		out := c.addPartition(s, v, key, others, manyTopics)
		whole = whole && (out.Lag != nil || !c.toBeRead(d, v, key))
	}
	if !whole {
		s.AggregateLag = nil // a sum that lacks some of it would be taken for the whole
	}
	s.Partitions = len(keys)
	if d.err != nil {
		s.RecentErrors = append(s.RecentErrors, RecentError{Message: d.err.Error()})
	}
	c.addTroubles(s, v, others)
	judgeHealth(s, d, c.o.Topics != nil)
	return s
}

// toBeRead says whether somebody should read the partition now. Called with mu held.
func (c *Coordinator) toBeRead(d *discovery, v *catalog.SupervisorView, key catalog.PartitionKey) bool {
	if c.o.Topics != nil {
		return !v.Suspended && d.partitions[key]
	}
	return !v.Suspended && d.spec != nil && d.spec.IO.ReadsTopic(key.Topic)
}

// addTroubles adds what concerns whole processes: those that do not answer, and a store that does not. Called with mu held.
func (c *Coordinator) addTroubles(s *Status, v *catalog.SupervisorView, others remote) {
	for _, err := range others.silent {
		s.RecentErrors = append(s.RecentErrors, RecentError{Message: "unknown what it reads: " + err.Error()})
	}
	s.RecentErrors = append(s.RecentErrors, unableErrors(c.o.Catalog.View(), v.ID)...)
	if c.session == nil {
		return
	}
	if since, doubtful := c.session.Doubtful(); doubtful {
		s.RecentErrors = append(s.RecentErrors, RecentError{Timestamp: instant(since, true), Message: fmt.Sprintf(
			"node %s: the catalog's store has not answered since %s: reading goes on, commits wait, and others may take over its partitions",
			c.o.Node.ID, instant(since, true))})
	}
}

// addPartition adds one partition to the report. Called with mu held.
func (c *Coordinator) addPartition(s *Status, v *catalog.SupervisorView, key catalog.PartitionKey, others remote, manyTopics bool) PartitionStatus {
	out := PartitionStatus{Topic: key.Topic, Partition: key.Partition}
	if pv := v.Partitions[key]; pv != nil {
		if pv.Owner != nil {
			out.Owner = pv.Owner.Node
		}
		if pv.OffsetRevision > 0 {
			out.Generation, out.CommittedOffset, out.Counters = pv.Offset.Generation, &pv.Offset.Next, pv.Offset.Counters
			out.LastCommit = instant(time.UnixMilli(pv.Offset.CommitMillis), pv.Offset.CommitMillis > 0)
		}
	}
	p := c.partitions[key]
	switch d := c.found[v.ID]; {
	case p != nil && p.err != nil:
		out.Error = p.err.Error()
	case c.o.Topics != nil && d != nil && d.lost(v, key):
		out.Error = "the brokers do not list it any more, so nobody reads it: create its topic again, or leave the topic out of the spec"
	}
	if out.Error != "" {
		s.RecentErrors = append(s.RecentErrors, RecentError{Message: describePartition(key, out.Error)})
	}
	w, elsewhere := others.workers[key]
	switch {
	case c.o.Ingest != nil && p != nil && p.running:
		if w, ok := c.o.Ingest.Status(key); ok {
			out.Owner = c.o.Node.ID
			addWorker(s, &out, w, p.since, manyTopics)
		}
	case elsewhere:
		addWorker(s, &out, w, time.Time{}, manyTopics)
	}
	s.PartitionStatus = append(s.PartitionStatus, out)
	return out
}

func describePartition(key catalog.PartitionKey, message string) string {
	return fmt.Sprintf("topic %s, partition %d: %s", key.Topic, key.Partition, message)
}

// addWorker adds what a partition's reader says. since is when it began, where that is known.
func addWorker(s *Status, out *PartitionStatus, w consumer.PartitionStatus, since time.Time, manyTopics bool) {
	key := catalog.PartitionKey{Supervisor: w.Key.Supervisor, Topic: out.Topic, Partition: out.Partition}
	out.State, out.HotRows, out.HotBytes, out.SpecVersion = w.State, w.HotRows, w.HotBytes, w.Facts.SpecVersion
	out.FailingSince, out.FailedAttempts = instant(w.FailingSince, !w.FailingSince.IsZero()), w.FailedAttempts
	out.SilentSince = instant(w.SilentSince, !w.SilentSince.IsZero())
	if w.State == consumer.StateStarting {
		addFailure(s, out, w)
		return
	}
	out.CurrentOffset, out.Generation = &w.Position, w.Generation
	out.UndecidedRecords, out.UndecidedSince = w.Undecided, instant(w.UndecidedSince, w.Undecided > 0)
	name := fmt.Sprint(key.Partition)
	if manyTopics {
		name = key.Topic + ":" + name
	}
	task := Task{
		ID:              fmt.Sprintf("index_kafka_%s_%s_%d", key.Supervisor, key.Topic, key.Partition),
		StartingOffsets: map[string]int64{name: w.Committed}, CurrentOffsets: map[string]int64{name: w.Position},
		StartTime: instant(since, !since.IsZero()), Type: "ACTIVE", Lag: map[string]int64{},
	}
	if w.Lag >= 0 {
		out.Lag, out.LatestOffset = &w.Lag, &w.StableEnd
		task.Lag[name] = w.Lag
		if s.AggregateLag == nil {
			s.AggregateLag, s.LatestOffsets, s.MinimumLag = new(int64), map[string]int64{}, map[string]int64{}
		}
		*s.AggregateLag += w.Lag
		s.LatestOffsets[name], s.MinimumLag[name] = w.StableEnd, w.Lag
	}
	s.ActiveTasks = append(s.ActiveTasks, task)
	addFailure(s, out, w)
}

func addFailure(s *Status, out *PartitionStatus, w consumer.PartitionStatus) {
	switch {
	case w.Halt != nil:
		out.Halted, out.Error = w.Halt.Reason, w.Halt.Message
	case w.LastError != "":
		out.Error = w.LastError
	default:
		return
	}
	s.RecentErrors = append(s.RecentErrors, RecentError{
		Timestamp: instant(w.LastAt, !w.LastAt.IsZero()), Message: describePartition(w.Key, out.Error),
	})
}

// judgeHealth sums the report up. A failure that is being retried is shown, and unhealthy only where nothing is read. asks says
// whether this process asks the brokers at all.
func judgeHealth(s *Status, d *discovery, asks bool) {
	busy, halted := false, false
	for _, p := range s.PartitionStatus {
		busy = busy || p.State != ""
		halted = halted || p.Halted != "" || p.Error != "" && (p.State == "" || p.State == consumer.StateStarting)
	}
	s.Healthy = true
	switch {
	case s.Suspended && busy:
		s.State = StateStopping
	case s.Suspended:
		s.State = StateSuspended
	case !d.done && d.err == nil && asks:
		s.State, s.DetailedState = StatePending, StateConnecting
	case d.err != nil && d.spec == nil:
		s.State, s.Healthy = StateUnhealthySupervisor, false
	case d.err != nil && !d.done:
		s.State, s.DetailedState, s.Healthy = StateUnhealthySupervisor, StateNoStream, false
	case d.err != nil:
		s.State, s.DetailedState, s.Healthy = StateUnhealthySupervisor, StateLostStream, false
	case halted:
		s.State, s.Healthy = StateUnhealthyTasks, false
	case s.Partitions == 0:
		s.State, s.DetailedState = StateRunning, StateIdle
	default:
		s.State = StateRunning
	}
	if s.DetailedState == "" {
		s.DetailedState = s.State
	}
	if d.done {
		s.OffsetsLastUpdated = instant(d.at, true)
	}
}

func instant(t time.Time, known bool) string {
	if !known {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
