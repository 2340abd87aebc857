package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Request is one query.
type Request struct {
	SQL        string
	Parameters []Parameter // in the order of the statement's question marks
	// Context holds Druid's query context. These are used: timeout (milliseconds; 0: as long as the server allows),
	// sqlOuterLimit (rows), cut ("hot" or "committed"), revision (the answer's cut is at least as new), hotTimeout
	// (milliseconds that owners of hot rows are waited for), allowPartial (true: afterwards, which is after 5 s at most where no
	// hotTimeout is given, the answer is given without them, and says so) and maxViewAge (milliseconds since the catalog's view
	// was known to be the newest). sqlTimeZone must be UTC, since another zone would silently mean other days. Others change
	// nothing.
	Context map[string]any
}

// Parameter is a value with its SQL type, as in Druid's API.
type Parameter struct {
	Type  string
	Value any // as encoding/json reads it, or a Go value of the type
}

// settings are a request's context, read.
type settings struct {
	timeout    time.Duration
	outerLimit int64 // −1: none
	committed  bool
	revision   int64
	// hotBudget bounds the waiting for owners; allowPartial gives an answer without them after that.
	hotBudget    time.Duration
	allowPartial bool
	maxViewAge   time.Duration // −1: any
}

func (o *Options) settings(context map[string]any) (settings, *Error) {
	s := settings{timeout: o.DefaultTimeout, outerLimit: -1, hotBudget: o.HotBudget, maxViewAge: -1}
	millis, given, err := contextNumber(context, "timeout")
	switch {
	case err != nil:
		return s, err
	case given && (millis == 0 || millis > o.MaxTimeout.Milliseconds()):
		s.timeout = o.MaxTimeout
	case given:
		s.timeout = time.Duration(millis) * time.Millisecond
	}
	limit, given, err := contextNumber(context, "sqlOuterLimit")
	if err != nil {
		return s, err
	}
	if given {
		s.outerLimit = limit
	}
	if s.revision, _, err = contextNumber(context, "revision"); err != nil {
		return s, err
	}
	if err := s.waits(context); err != nil {
		return s, err
	}
	switch cut := context["cut"]; cut {
	case nil, "hot":
	case "committed":
		s.committed = true
	default:
		return s, newError(Invalid, `use "hot" or "committed"`, "context.cut: %v is not known", cut)
	}
	switch zone := context["sqlTimeZone"]; zone {
	case nil, "UTC", "Etc/UTC", "Z":
	default:
		return s, newError(Invalid, "leave it out, and name the zone in the statement: TIME_FLOOR(__time, 'P1D', NULL, 'Europe/Berlin')",
			"context.sqlTimeZone: %v is not supported: times are UTC", zone)
	}
	return s, nil
}

// waits reads what the caller says of owners and views that cannot be had at once.
func (s *settings) waits(context map[string]any) *Error {
	for key, into := range map[string]*time.Duration{"hotTimeout": &s.hotBudget, "maxViewAge": &s.maxViewAge} {
		millis, given, err := contextNumber(context, key)
		if err != nil {
			return err
		}
		if given {
			*into = time.Duration(min(millis, maxContextMillis)) * time.Millisecond
		}
	}
	switch allowed := context["allowPartial"]; allowed {
	case nil, false, "false":
	case true, "true":
		s.allowPartial = true
		if context["hotTimeout"] == nil {
			s.hotBudget = min(s.hotBudget, partialBudget)
		}
	default:
		return newError(Invalid, "use true or false", "context.allowPartial: %v is not known", allowed)
	}
	return nil
}

// maxContextMillis is a year: more does not matter, and as nanoseconds it fits.
const maxContextMillis = 366 * 24 * 3600 * 1000

// contextNumber reads a whole number that is not negative.
func contextNumber(context map[string]any, key string) (int64, bool, *Error) {
	v, ok := context[key]
	if !ok || v == nil {
		return 0, false, nil
	}
	n, err := wholeNumber(v)
	if err != nil || n < 0 {
		return 0, false, newError(Invalid, "give a whole number, 0 or more", "context.%s: %v is not a valid number", key, v)
	}
	return n, true, nil
}

func wholeNumber(v any) (int64, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
	case json.Number:
		return strconv.ParseInt(v.String(), 10, 64)
	case string:
		return strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	}
	return 0, fmt.Errorf("%v is not a whole number", v)
}

func parameterValues(parameters []Parameter) ([]any, *Error) {
	out := make([]any, len(parameters))
	for i, p := range parameters {
		v, err := p.value()
		if err != nil {
			return nil, newError(Invalid, "", "parameter %d of type %s: %v", i+1, p.Type, err)
		}
		out[i] = v
	}
	return out, nil
}

// value returns nil, bool, int64, float64, string or time.Time.
func (p Parameter) value() (any, error) {
	kind := strings.ToUpper(strings.TrimSpace(p.Type))
	if p.Value == nil {
		return nil, nil
	}
	switch kind {
	case "VARCHAR", "CHAR":
		switch v := p.Value.(type) {
		case string:
			return v, nil
		case []any, map[string]any:
			return nil, errors.New("a list or an object is not a text: send its JSON as a string")
		}
		return fmt.Sprint(p.Value), nil
	case "BIGINT", "INTEGER", "SMALLINT", "TINYINT":
		return wholeNumberValue(p.Value)
	case "DOUBLE", "FLOAT", "REAL", "DECIMAL":
		return doubleValue(p.Value)
	case "BOOLEAN":
		switch v := p.Value.(type) {
		case bool:
			return v, nil
		case string:
			return strconv.ParseBool(v)
		}
		return nil, fmt.Errorf("%v is neither true nor false", p.Value)
	case "TIMESTAMP", "DATE":
		return timeValue(p.Value)
	}
	return nil, fmt.Errorf("the type is not known: use VARCHAR, BIGINT, DOUBLE, BOOLEAN, TIMESTAMP or DATE")
}

func wholeNumberValue(v any) (any, error) {
	n, err := wholeNumber(v)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func doubleValue(v any) (any, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case json.Number:
		return strconv.ParseFloat(v.String(), 64)
	case string:
		return strconv.ParseFloat(strings.TrimSpace(v), 64)
	}
	n, err := wholeNumber(v)
	if err != nil {
		return nil, fmt.Errorf("%v is not a number", v)
	}
	return float64(n), nil
}

// timeValue takes text, or milliseconds since 1970.
func timeValue(v any) (any, error) {
	switch v := v.(type) {
	case time.Time:
		return v, nil
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC(), nil
		}
		if micros, ok := parseTimestamp(v); ok {
			return time.UnixMicro(micros).UTC(), nil
		}
		return nil, fmt.Errorf("%q is not a time: write 2015-09-12 01:02:03 or 2015-09-12T01:02:03Z", v)
	}
	n, err := wholeNumber(v)
	if err != nil {
		return nil, fmt.Errorf("%v is not a time: write text, or milliseconds since 1970", v)
	}
	return time.UnixMilli(n).UTC(), nil
}
