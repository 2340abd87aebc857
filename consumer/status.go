package consumer

import (
	"time"

	"drumlin/catalog"
	"drumlin/segment"
)

// State is what a partition's worker is doing.
type State string

// The states of a worker.
const (
	StateStarting   State = "starting"    // finding out where to begin
	StateCatchingUp State = "catching_up" // reading up to the end of the log as it was when the partition was acquired
	StateRunning    State = "running"
	StatePaused     State = "paused"   // not fetching: hot memory or unfinished handoffs are at their limit
	StateHalted     State = "halted"   // not fetching until a person or a policy decides; see Halt
	StateStopping   State = "stopping" // handing off for the last time
)

// The reasons why a partition halts.
const (
	HaltLostRange     = "offset_out_of_range"  // the log no longer holds [From, To)
	HaltTruncated     = "log_truncated"        // the log ends, or differs, below what was committed
	HaltRecreated     = "topic_recreated"      // another topic of the same name
	HaltParseErrors   = "max_parse_exceptions" // more rejects than maxParseExceptions
	HaltBatchTooLarge = "batch_too_large"      // a compressed batch would grow past the limit
)

// Halt says why a partition is not read any further.
type Halt struct {
	Reason   string // one of the Halt constants
	Message  string // what happened and what to do
	From, To int64  // HaltLostRange: the offsets that the log no longer holds
	Since    time.Time
}

// PartitionStatus describes one partition's worker at a moment.
type PartitionStatus struct {
	Key        catalog.PartitionKey
	State      State
	Generation int32
	TopicID    string
	Facts      segment.Facts // by which records are read now
	Position   int64         // next offset to read; everything below is readable or about to be
	Committed  int64
	Revision   int64 // of the last commit
	CatchUp    int64 // end of the log when the partition was acquired
	StableEnd  int64 // newest known end of what is decided; −1: unknown
	Lag        int64 // StableEnd − Position; −1: unknown
	// Undecided records lie behind the first open transaction: nobody may read them before it has ended.
	Undecided      int64
	UndecidedSince time.Time // when StableEnd last moved; zero: nothing is undecided
	Counters       segment.Counters
	HotRows        int64 // not yet committed
	HotBytes       int64
	Handoffs       int // begun or queued
	Halt           *Halt
	// LastError is the last failure that is being retried, cleared by the next success of the same kind.
	LastError string
	LastAt    time.Time // of LastError
	// Where it is a step that fails, such as a handoff: since when, and how many attempts have failed in a row, those
	// included that are repeated inside a request. A request that is only late has none.
	FailingSince   time.Time
	FailedAttempts int
	// SilentSince is when the brokers were first asked in vain after their last answer; zero: they answer.
	SilentSince time.Time
}

// CaughtUp says whether everything that the log held when the partition was acquired can be read.
func (s PartitionStatus) CaughtUp() bool {
	return s.State != StateStarting && s.Position >= s.CatchUp
}

func (w *worker) report() {
	rows, bytes := w.hot.size()
	s := &PartitionStatus{
		Key: w.key, State: w.state(), Position: w.next, CatchUp: w.catchUp, StableEnd: w.stableEnd, Lag: -1,
		Generation: w.standing.offset.Generation, TopicID: w.standing.offset.TopicID,
		Committed: w.standing.offset.Next, Counters: w.standing.offset.Counters, Revision: w.standing.revision,
		HotRows: rows, HotBytes: bytes, Handoffs: len(w.steps), Halt: w.halted, LastError: w.lastError, LastAt: w.lastErrorAt,
		SilentSince: w.silentSince,
	}
	if t := w.ailing(time.Now()); t != nil {
		s.LastError, s.LastAt, s.FailingSince, s.FailedAttempts = t.err.Error(), t.at, t.since, t.attempts
	}
	if w.plan != nil {
		s.Facts = w.plan.facts
	}
	if w.stableEnd >= 0 {
		s.Lag = max(0, w.stableEnd-w.next)
	}
	if w.stableEnd >= 0 && w.end > w.stableEnd {
		s.Undecided, s.UndecidedSince = w.end-w.stableEnd, w.stableSince
	}
	if w.running {
		s.Handoffs++
	}
	w.status.Store(s)
}

func (w *worker) state() State {
	switch {
	case w.plan == nil:
		return StateStarting
	case w.stopped:
		return StateStopping
	case w.halted != nil:
		return StateHalted
	case w.paused:
		return StatePaused
	case w.next < w.catchUp:
		return StateCatchingUp
	}
	return StateRunning
}

// failing notes a failure that is retried; nil clears it.
func (w *worker) failing(err error) {
	if err == nil {
		w.lastError, w.lastErrorAt = "", time.Time{}
		return
	}
	w.lastError, w.lastErrorAt = err.Error(), time.Now()
}
