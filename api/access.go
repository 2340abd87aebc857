package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"drumlin/internal/secure"
	"drumlin/spec"
)

// need is what a route wants of its caller. The zero value is refused by New: whoever adds a route decides.
type need uint8

const (
	undecided need = iota
	open           // anyone, also without a token
	read
	write
	admin
)

// role is the lowest role that may use the route, 0 for an open one.
func (n need) role() secure.Role {
	switch n {
	case open:
		return 0
	case read:
		return secure.RoleRead
	case write:
		return secure.RoleWrite
	}
	return secure.RoleAdmin
}

type callerKey struct{}

// callerOf says who sent a request that guard has let through. Where access is open everyone is the same, nameless, admin.
func callerOf(ctx context.Context) secure.Identity {
	who, ok := ctx.Value(callerKey{}).(secure.Identity)
	if !ok {
		return secure.Identity{}
	}
	return who
}

// guard lets only callers through whose token has the role that is needed.
func (s *server) guard(n need, next http.Handler) http.Handler {
	if n == open {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.access.Identify(presentedToken(r))
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="drumlin"`)
			writeError(w, r, unauthorized(r, err))
			return
		}
		note(r.Context(), func(rec *record) { rec.caller = who.Name })
		if err := require(who, n.role()); err != nil {
			writeError(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}

// presentedToken is the token of a request: a bearer token, or the password of basic authentication, which is what many
// programs can send.
func presentedToken(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// unauthorized tells apart who has shown nothing and who has shown something wrong. It does not repeat what was shown.
func unauthorized(r *http.Request, err error) *Error {
	e := &Error{
		Category: Unauthorized, Code: "unauthorized", Err: err,
		Message: "This server wants a token, and the request shows none.",
		Hint:    "Send the header Authorization: Bearer TOKEN, or the token as the password of basic authentication.",
	}
	switch {
	case r.Header.Get("Authorization") == "":
	case presentedToken(r) == "":
		e.Message = "The header Authorization of the request cannot be read."
	default:
		e.Message = "The server does not know the token that the request shows."
		e.Hint = "It may have been replaced, or be another cluster's."
	}
	return e
}

// require refuses a caller whose role is too low.
func require(who secure.Identity, role secure.Role) error {
	if who.Role >= role {
		return nil
	}
	return forbidden(&secure.Denied{Name: who.Name, Has: who.Role, Need: role}, "")
}

// forbidden names the role that is needed and the one that there is. What says why, where the path alone does not.
func forbidden(d *secure.Denied, what string) *Error {
	if what == "" {
		what = "This"
	}
	return &Error{
		Category: Forbidden, Code: "forbidden", Err: d,
		Message: fmt.Sprintf("%s needs a token with the role %s; the token %q has the role %s.", what, d.Need, d.Name, d.Has),
		Context: map[string]string{"neededRole": d.Need.String(), "role": d.Has.String(), "token": d.Name},
	}
}

// allowTask holds tasks that delete or hide rows to the role that the paths for the same demand. A task that cannot be
// read is for the queue to refuse.
func allowTask(ctx context.Context, body []byte) error {
	who := callerOf(ctx)
	if who.Role >= secure.RoleAdmin {
		return nil
	}
	task, _, err := spec.ParseTask(body)
	if err != nil {
		return nil //nolint:nilerr // the queue reads it again and says what is wrong
	}
	if task.Type == spec.TaskCompact {
		return nil
	}
	return forbidden(&secure.Denied{Name: who.Name, Has: who.Role, Need: secure.RoleAdmin}, fmt.Sprintf("A task of the type %s", task.Type))
}

// allowSpec holds specs that stop or resume what runs, or accept losses from now on, to the role that the paths for the same
// demand. A spec that cannot be read is for the coordinator to refuse.
func (s *server) allowSpec(ctx context.Context, body []byte) error {
	who := callerOf(ctx)
	if who.Role >= secure.RoleAdmin {
		return nil
	}
	next, _, err := spec.Parse(body)
	if err != nil {
		return nil //nolint:nilerr // the coordinator reads it again and says what is wrong
	}
	list, err := s.supervisors.List(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list, func(sup Supervisor) bool { return sup.ID == next.ID })
	if at < 0 {
		return nil // nothing runs yet, and nothing is lost
	}
	what := ""
	switch {
	case next.Suspended != list[at].Suspended:
		what = fmt.Sprintf("Setting suspended to %t", next.Suspended)
	case next.Tuning.ResetOffsetAutomatically && !acceptsLosses(list[at].Spec):
		what = "Setting tuningConfig.resetOffsetAutomatically, which accepts losses,"
	default:
		return nil
	}
	return forbidden(&secure.Denied{Name: who.Name, Has: who.Role, Need: secure.RoleAdmin}, what)
}

// acceptsLosses reads the one field of a spec as lists show it.
func acceptsLosses(shown []byte) bool {
	var sup struct {
		Spec struct {
			TuningConfig struct{ ResetOffsetAutomatically bool }
		}
	}
	return json.Unmarshal(shown, &sup) == nil && sup.Spec.TuningConfig.ResetOffsetAutomatically
}

// mayCancel says whether a caller may end a query that the named one has started.
func mayCancel(who secure.Identity, owner string) bool {
	return who.Role >= secure.RoleWrite || who.Name == owner
}

// handleCancelSQL answers DELETE /druid/v2/sql/{id}.
func (s *server) handleCancelSQL(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	err := s.running.cancel(id, callerOf(r.Context()))
	switch {
	case errors.Is(err, errNotRunning):
		writeError(w, r, &Error{
			Category: NotFound, Code: "notFound",
			Message: fmt.Sprintf("No query with the id %q is running here.", id),
			Hint:    "It may have ended. The id is in the response header X-Druid-SQL-Query-Id, or your own context.sqlQueryId.",
		})
	case err != nil:
		writeError(w, r, err)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}
