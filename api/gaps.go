package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const maxGapBytes = 64 << 10

// Gaps tells of halted partitions, and lets them go on behind what is lost. Errors are as those of Supervisors.
type Gaps interface {
	// Gaps lists the halted partitions of a supervisor. unanswered says which processes could not be asked.
	Gaps(ctx context.Context, supervisor string) (gaps []Gap, unanswered []string, err error)
	// AcceptGap records exactly the lost range of a halted partition, and returns when that is in the catalog.
	AcceptGap(ctx context.Context, supervisor string, g GapRange) error
}

// Gap is one halted partition.
type Gap struct {
	Topic     string
	Partition int32
	Owner     string // the node that reads it
	Reason    string // offset_out_of_range: From and To are the lost range, which can be accepted
	Message   string
	From, To  int64     // equal: nothing can be accepted
	Since     time.Time // zero: not known
}

// GapRange are the lost offsets [From, To) of one partition.
type GapRange struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// gapObject is a Gap as it is shown.
type gapObject struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Owner     string `json:"owner"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	From      *int64 `json:"from,omitempty"` // with To and Records only where the range can be accepted
	To        *int64 `json:"to,omitempty"`
	Records   *int64 `json:"records,omitempty"`
	Since     string `json:"since,omitempty"`
}

func (s *server) gapRoutes() []route {
	return []route{
		{"GET", supervisorPath + "/{id}/gaps", read, s.handleGaps},
		{"POST", supervisorPath + "/{id}/gaps/accept", admin, s.handleAcceptGap},
	}
}

// handleGaps answers GET …/supervisor/{id}/gaps.
func (s *server) handleGaps(w http.ResponseWriter, r *http.Request) {
	gaps, unanswered, err := s.gaps.Gaps(r.Context(), r.PathValue("id"))
	if err != nil {
		writeError(w, r, err)
		return
	}
	objects := make([]gapObject, 0, len(gaps))
	for _, g := range gaps {
		o := gapObject{Topic: g.Topic, Partition: g.Partition, Owner: g.Owner, Reason: g.Reason, Message: g.Message}
		if lost := g.To - g.From; lost > 0 {
			o.From, o.To, o.Records = &g.From, &g.To, &lost
		}
		if !g.Since.IsZero() {
			o.Since = g.Since.UTC().Format("2006-01-02T15:04:05.000Z")
		}
		objects = append(objects, o)
	}
	writeJSON(w, r, http.StatusOK, struct {
		Gaps       []gapObject `json:"gaps"`
		Unanswered []string    `json:"unanswered,omitempty"`
	}{objects, unanswered})
}

// handleAcceptGap answers POST …/supervisor/{id}/gaps/accept once the loss is recorded.
func (s *server) handleAcceptGap(w http.ResponseWriter, r *http.Request) {
	g, err := readGap(w, r)
	if err == nil {
		err = s.gaps.AcceptGap(r.Context(), r.PathValue("id"), g)
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	writeJSON(w, r, http.StatusOK, struct {
		ID string `json:"id"`
		GapRange
		Records int64 `json:"records"`
	}{r.PathValue("id"), g, g.To - g.From})
}

// readGap reads a range, every field of which is needed: a loss is not accepted by default.
func readGap(w http.ResponseWriter, r *http.Request) (GapRange, error) {
	var g GapRange
	body, err := readBody(w, r, maxGapBytes)
	if err != nil {
		return g, err
	}
	known := []string{"topic", "partition", "from", "to"}
	fields, err := decodeObject(body, "the request", known)
	if err != nil {
		return g, err
	}
	for i, into := range []any{&g.Topic, &g.Partition, &g.From, &g.To} {
		raw, ok := fields[known[i]]
		if !ok {
			return g, invalidInput("Field %q is missing: a lost range is accepted as it is listed, with all of %s.", known[i], quoted(known))
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return g, invalidInput("Field %q must be a %s.", known[i], map[bool]string{true: "text", false: "whole number"}[i == 0])
		}
	}
	if g.Topic == "" || g.Partition < 0 || g.From < 0 || g.From >= g.To {
		return g, invalidInput("[%d, %d) of topic %q, partition %d is not a range of offsets.", g.From, g.To, g.Topic, g.Partition)
	}
	return g, nil
}

func quoted(names []string) string {
	names = slices.Clone(names)
	for i, n := range names {
		names[i] = fmt.Sprintf("%q", n)
	}
	return fmt.Sprint(names)
}
