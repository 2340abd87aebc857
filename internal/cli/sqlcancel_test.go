package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAnInterruptedQueryIsEndedOnTheServer: a server behind a proxy that keeps its connections open does not see that the
// client has gone. It must be told which query to end.
func TestAnInterruptedQueryIsEndedOnTheServer(t *testing.T) {
	for name, status := range map[string]int{"ended": http.StatusAccepted, "gone": http.StatusNotFound, "refused": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancelCause(t.Context())
			ended := make(chan struct{})
			var asked, told string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete {
					told = r.URL.Path
					w.WriteHeader(status)
					close(ended)
					return
				}
				var body struct {
					Context struct{ SQLQueryID string }
				}
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Error(err)
				}
				asked = body.Context.SQLQueryID
				interrupt(errors.New("interrupted"))
				<-ended // whatever becomes of the connection
			}))
			defer server.Close()
			var stdout, stderr bytes.Buffer
			env := NewEnv(strings.NewReader(""), &stdout, &stderr)
			env.Getenv = func(string) string { return "" }
			root := NewRoot(env, "1.2.3")
			root.SetArgs([]string{"sql", "SELECT 1", "--server", server.URL})
			code := Report(&stderr, root.ExecuteContext(ctx))
			<-ended
			if code == 0 || asked == "" || told != "/druid/v2/sql/"+asked {
				t.Errorf("code %d; the query %q was asked, %q was told to end: %s", code, asked, told, stderr.String())
			}
			if warned := strings.Contains(stderr.String(), "may still run"); warned != (status == http.StatusForbidden) {
				t.Errorf("warned: %t: %s", warned, stderr.String())
			}
		})
	}
}
