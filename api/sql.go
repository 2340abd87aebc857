package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// maxCutHeaderBytes bounds the cut's header: common clients refuse a longer line.
	maxCutHeaderBytes = 96 << 10
	// sendStallTimeout is how long one write of an answer may take before the reader counts as gone.
	sendStallTimeout = 60 * time.Second
)

// handleSQL answers POST /druid/v2/sql.
func (s *server) handleSQL(w http.ResponseWriter, r *http.Request) {
	req, err := readSQLRequest(w, r)
	if err != nil {
		writeError(w, r, err)
		return
	}
	noteQuery(r.Context(), req.id)
	w.Header().Set(headerQueryID, req.id)
	ctx, done := s.running.add(r.Context(), req.id)
	defer done()
	answer, err := s.queries.Query(ctx, req.query)
	if err != nil {
		writeError(w, r, queryError(ctx, r, req.id, err))
		return
	}
	defer func() {
		if err := answer.Rows.Close(); err != nil {
			noteError(r.Context(), fmt.Errorf("release the answer: %w", err))
		}
	}()
	if err := setAnswerHeaders(w.Header(), answer, req); err != nil {
		writeError(w, r, err)
		return
	}
	out := &deadlineWriter{out: w, control: http.NewResponseController(w)}
	rows, err := encodeAnswer(out, answer, req.format, req.header)
	noteRows(r.Context(), rows)
	if err != nil {
		// The status line is gone: cutting the connection is the only way left to say that the answer is not whole.
		noteError(r.Context(), fmt.Errorf("send the answer: %w", err))
		panic(http.ErrAbortHandler)
	}
}

// queryError says who ended a query whose context has ended.
func queryError(ctx context.Context, r *http.Request, id string, err error) error {
	if errors.Is(context.Cause(ctx), errCancelled) {
		return &Error{Category: Canceled, Code: "queryCanceled", Message: fmt.Sprintf("Query %s was cancelled.", id), Err: err}
	}
	if r.Context().Err() != nil {
		return &Error{
			Category: ServiceUnavailable, Code: "requestEnded", Err: err,
			Message: "The query was ended: its client closed the connection, or the server is stopping.",
		}
	}
	return err
}

func setAnswerHeaders(h http.Header, a *Answer, req *sqlRequest) error {
	h.Set("Content-Type", req.format.contentType())
	if req.header.names {
		h.Set(headerIncluded, "yes")
	}
	if err := setPartialHeader(h, a.Missing); err != nil || a.Cut == nil {
		return err
	}
	text, err := marshal(a.Cut)
	if err != nil {
		return fmt.Errorf("encode the cut: %w", err)
	}
	cut := asciiJSON(string(text[:len(text)-1]))
	if len(cut) > maxCutHeaderBytes {
		h.Set(headerCutOmitted, fmt.Sprintf("%d bytes exceed the limit of %d", len(cut), maxCutHeaderBytes))
		return nil
	}
	h.Set(headerCut, cut)
	return nil
}

// maxPartialHeaderBytes bounds what the header says of missing partitions one by one; the cut has all of them.
const maxPartialHeaderBytes = 4 << 10

// setPartialHeader says that the answer lacks rows, as JSON: {"missing": 2, "partitions": ["events/t/0: why", …]}.
func setPartialHeader(h http.Header, missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	shown, size := 0, 0
	for shown < len(missing) && size+len(missing[shown]) <= maxPartialHeaderBytes {
		size += len(missing[shown])
		shown++
	}
	text, err := marshal(struct {
		Missing    int      `json:"missing"`
		Partitions []string `json:"partitions"`
	}{len(missing), missing[:shown]})
	if err != nil {
		return fmt.Errorf("encode what is missing: %w", err)
	}
	h.Set(headerPartial, asciiJSON(string(text[:len(text)-1])))
	return nil
}

// deadlineWriter gives every write its own time limit, so that a long answer is no fault but a stalled reader is.
type deadlineWriter struct {
	out     http.ResponseWriter
	control *http.ResponseController
}

func (d *deadlineWriter) Write(p []byte) (int, error) {
	err := d.control.SetWriteDeadline(time.Now().Add(sendStallTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return d.out.Write(p)
}
