package spec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"drumlin/internal/strictyaml"
)

// canonicalJSON writes a checked tree as JSON: fields by name, without nulls but where others read them. With hide, Kafka properties that may be
// secrets lose their values.
func canonicalJSON(root *node, hide bool) []byte {
	var b bytes.Buffer
	writeJSON(&b, root, "", hide)
	return b.Bytes()
}

func writeJSON(b *bytes.Buffer, n *node, path string, hide bool) {
	switch n.Kind {
	case strictyaml.Null:
		b.WriteString("null")
	case strictyaml.Bool:
		b.WriteString(strconv.FormatBool(n.True()))
	case strictyaml.Number:
		// YAML knows numbers that JSON does not, such as 0x10 and .inf. In what is accepted, only fields without effect can
		// hold them.
		if json.Valid([]byte(n.Text)) {
			b.WriteString(n.Text)
		} else {
			writeText(b, n.Text)
		}
	case strictyaml.String:
		writeText(b, n.Text)
	case strictyaml.List:
		b.WriteByte('[')
		for i, item := range n.List {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, item, path+"[]", hide)
		}
		b.WriteByte(']')
	case strictyaml.Map:
		writeObject(b, n, path, hide)
	}
}

func writeObject(b *bytes.Buffer, n *node, path string, hide bool) {
	entries := slices.Clone(n.Entries)
	slices.SortFunc(entries, func(x, y strictyaml.Entry) int { return cmp.Compare(x.Key, y.Key) })
	b.WriteByte('{')
	first := true
	for _, e := range entries {
		if e.Value.Kind == strictyaml.Null && !keepsNulls(path) {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		writeText(b, e.Key)
		b.WriteByte(':')
		if hide && path == ".spec.ioConfig.consumerProperties" && !slices.Contains(shownProperties, e.Key) {
			writeText(b, hiddenValue)
			continue
		}
		writeJSON(b, e.Value, path+"."+e.Key, hide)
	}
	b.WriteByte('}')
}

// keepsNulls tells the foreign parts, where null says something: a selector with it matches nulls.
func keepsNulls(path string) bool {
	for _, foreign := range []string{
		".spec.dataSchema.metricsSpec", ".spec.dataSchema.transformSpec", ".metricsSpec", ".transformSpec.filter",
	} {
		if rest, ok := strings.CutPrefix(path, foreign); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

func writeText(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)       // neither a string nor a bytes.Buffer can fail
	b.Truncate(b.Len() - 1) // the encoder's line feed
}

// RedactedSpec returns a canonical spec with every Kafka property hidden that may be a secret: what people are shown.
func RedactedSpec(canonical []byte) ([]byte, error) {
	root, problems := readTree(canonical)
	if root == nil || len(problems) > 0 {
		return nil, fmt.Errorf("show a spec without its secrets: %w", problems)
	}
	return canonicalJSON(root, true), nil
}

// String names the supervisor, its datasource and its topics, and no secret.
func (s Supervisor) String() string {
	return fmt.Sprintf("supervisor %s (datasource %s, %s)", s.ID, s.DataSchema.DataSource, s.IO.String())
}

// GoString keeps %#v from printing secrets.
func (s Supervisor) GoString() string { return s.String() }

// LogValue keeps secrets out of logs.
func (s Supervisor) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String names the topics, and no secret.
func (c IOConfig) String() string {
	if c.TopicPattern != "" {
		return "topics like " + c.TopicPattern
	}
	return "topic " + c.Topic
}

// GoString keeps %#v from printing secrets.
func (c IOConfig) GoString() string { return c.String() }

// LogValue keeps secrets out of logs.
func (c IOConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// WithSuspended returns the spec with suspended set as said and everything else as it is.
func WithSuspended(canonical []byte, suspended bool) (*Supervisor, error) {
	root, problems := readTree(canonical)
	if root == nil || root.Kind != strictyaml.Map || len(problems) > 0 {
		return nil, fmt.Errorf("suspend or resume: the spec in the catalog cannot be read: %w", problems)
	}
	root.Entries = slices.DeleteFunc(root.Entries, func(e strictyaml.Entry) bool { return e.Key == "suspended" })
	root.Entries = append(root.Entries, strictyaml.Entry{Key: "suspended", Value: &node{Kind: strictyaml.Bool, Text: fmt.Sprint(suspended)}})
	s, _, err := Parse(canonicalJSON(root, false))
	return s, err
}
