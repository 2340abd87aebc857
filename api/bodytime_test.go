package api

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestTheTimeForABodyEndsWithTheBody(t *testing.T) {
	const shortest = 50 * time.Millisecond
	for name, body := range map[string]func() io.Reader{
		"of known length": func() io.Reader { return strings.NewReader("1234") },
		"in chunks":       func() io.Reader { return struct{ io.Reader }{strings.NewReader("1234")} },
	} {
		status, text := sendInTime(t, shortest, body())
		for timeout := 4 * shortest; status == http.StatusRequestTimeout && timeout < time.Minute; timeout *= 4 { // the machine is busy
			status, text = sendInTime(t, timeout, body())
		}
		if status != http.StatusOK || text != "4" {
			t.Errorf("a body %s: status %d, %q", name, status, text)
		}
	}
	reader, writer := io.Pipe()
	defer writer.Close()
	if status, _ := sendInTime(t, shortest, reader); status != http.StatusRequestTimeout {
		t.Errorf("a body that never came was answered with %d", status)
	}
}

// sendInTime sends a body to a server that gives it this time, and takes three times as long for its answer.
func sendInTime(t *testing.T, timeout time.Duration, body io.Reader) (status int, text string) {
	t.Helper()
	server := httptest.NewServer(limitBodyTime(timeout, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
			return
		}
		// A long query. A deadline that were still set would end its context.
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusInternalServerError)
		case <-time.After(3 * timeout):
		}
		fmt.Fprintf(w, "%d", len(body))
	}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	resp, err := server.Client().Post(server.URL, "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}
