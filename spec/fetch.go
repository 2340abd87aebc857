package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"drumlin/internal/strictyaml"
)

// The methods below read one field of an object, or its default from the vocabulary. A value of the wrong form has been
// reported by check and reads as absent.

func (o object) given(key string) bool { return o.node.Get(key) != nil }

// raw returns a scalar's text, or the default.
func (o object) raw(key string) string {
	if n := o.node.Get(key); n != nil && n.Kind != strictyaml.List && n.Kind != strictyaml.Map {
		return n.Text
	}
	path := strictyaml.Join(o.table, key)
	for _, f := range o.b.children[o.table] {
		if f.Path == path {
			return f.Default
		}
	}
	return ""
}

func (o object) problem(key, format string, args ...any) {
	o.b.problem(o.shownPath(key), fmt.Sprintf(format, args...))
}

func (o object) text(key string) string { return o.raw(key) }

// need reads a text that must not be empty.
func (o object) need(key, why string) string {
	n := o.node.Get(key)
	if n == nil || n.Kind != strictyaml.List && n.Kind != strictyaml.Map && n.Text == "" {
		o.problem(key, "is missing: %s", why)
	}
	return o.raw(key)
}

// oneOf reads a text that must be one of those given.
func (o object) oneOf(key string, allowed ...string) string {
	v := o.raw(key)
	if slices.Contains(allowed, v) {
		return v
	}
	message := fmt.Sprintf("%s is not supported; it must be %s", shown(v), orList(allowed))
	if v == "" {
		message = "is missing: it must be " + orList(allowed)
	}
	o.problem(key, "%s", message)
	return allowed[0]
}

func orList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// json returns a value as canonical JSON.
func (o object) json(key string) json.RawMessage {
	var b bytes.Buffer
	writeJSON(&b, o.node.Get(key), "."+strictyaml.Join(o.table, key), false)
	return b.Bytes()
}

func (o object) boolean(key string) bool { return o.raw(key) == "true" }

// whole reads a whole number not below least.
func (o object) whole(key string, least int64) int64 {
	v := o.raw(key)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		o.problem(key, "is too large")
		return least
	}
	if n < least {
		o.problem(key, "must be at least %d", least)
		return least
	}
	return n
}

// period reads a period in milliseconds; 0: none.
func (o object) period(key string) int64 {
	v := o.raw(key)
	if v == "" && !o.given(key) {
		return 0
	}
	millis, err := ParsePeriod(v)
	if err != nil {
		o.problem(key, "%s", err)
	}
	return millis
}

// instant reads an instant in Unix milliseconds; nil: none.
func (o object) instant(key string) *int64 {
	if !o.given(key) {
		return nil
	}
	millis, err := parseInstant(o.raw(key))
	if err != nil {
		o.problem(key, "%s", err)
		return nil
	}
	return &millis
}
