package config

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"drumlin/internal/kafkaprops"
	"drumlin/internal/secure"
	"drumlin/internal/strictyaml"
)

// hiddenText stands where a secret is set.
const hiddenText = "(hidden)"

// noteWidth is where a comment's line ends.
const noteWidth = 100

// Print writes a configuration as YAML: every field with its comment. Secrets are hidden: what is printed with one set is to
// read, not to run.
func Print(w io.Writer, s Server) error {
	notes := make(map[string]string)
	for _, f := range Fields() {
		notes[f.Path] = f.Note
	}
	out := bufio.NewWriter(w)
	p := &printer{out: out, notes: notes}
	p.section(reflect.ValueOf(&s).Elem(), "", "")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return nil
}

// printer writes to a buffered writer, which keeps the first error until it is flushed.
type printer struct {
	out   *bufio.Writer
	notes map[string]string
}

func (p *printer) line(indent, format string, args ...any) {
	fmt.Fprintf(p.out, indent+format+"\n", args...) //nolint:errcheck // told by Flush
}

func (p *printer) note(indent, path string) {
	line := "#"
	for word := range strings.FieldsSeq(p.notes[path]) {
		if len(indent)+len(line)+1+len(word) > noteWidth {
			p.line(indent, "%s", line)
			line = "#"
		}
		line += " " + word
	}
	p.line(indent, "%s", line)
}

func (p *printer) section(section reflect.Value, indent, path string) {
	for i, s := range slots(section) {
		full := strictyaml.Join(path, s.name)
		if indent == "" && i > 0 {
			p.line("", "")
		}
		p.note(indent, full)
		if s.section.IsValid() {
			p.line(indent, "%s:", s.name)
			p.section(s.section, indent+"  ", full)
			continue
		}
		p.field(indent, s)
	}
}

func (p *printer) field(indent string, s slot) {
	switch field := s.field.(type) {
	case *[]Token:
		p.tokens(indent, s.name, *field)
	case *map[string]secure.Secret:
		p.properties(indent, s.name, *field)
	default:
		p.line(indent, "%s: %s", s.name, valueText(field))
	}
}

func (p *printer) tokens(indent, name string, tokens []Token) {
	if len(tokens) == 0 {
		p.line(indent, "%s: []", name)
		return
	}
	p.line(indent, "%s:", name)
	for _, t := range tokens {
		p.line(indent, "  - {name: %s, role: %s, secret: %s}", quoted(t.Name), quoted(t.Role), valueText(&t.Secret))
	}
}

func (p *printer) properties(indent, name string, properties map[string]secure.Secret) {
	if len(properties) == 0 {
		p.line(indent, "%s: {}", name)
		return
	}
	p.line(indent, "%s:", name)
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		value := properties[key]
		text := valueText(&value)
		if !kafkaprops.MayBeSecret(key) {
			text = quoted(value.Reveal())
		}
		p.line(indent, "  %s: %s", quoted(key), text)
	}
}

func valueText(field any) string {
	switch field := field.(type) {
	case *string:
		return quoted(*field)
	case *secure.Secret:
		if *field == "" {
			return `""`
		}
		return `"` + hiddenText + `"`
	case *[]string:
		items := make([]string, len(*field))
		for i, item := range *field {
			items[i] = quoted(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case *Bytes:
		return field.String()
	case *time.Duration:
		return durationText(*field)
	case *bool:
		return fmt.Sprint(*field)
	case *int:
		return fmt.Sprint(*field)
	}
	return `""`
}

// quoted writes a text as YAML reads it back: in quotes, but where it is a plain word.
func quoted(text string) string {
	text = strings.ReplaceAll(text, "${", "$${")
	plain := text != "" && text[0] >= 'a' && text[0] <= 'z'
	for _, c := range []byte(text) {
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("./_-", rune(c)))
	}
	if plain && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text)) {
		return text
	}
	return strconv.Quote(text) // YAML knows all escapes that this writes
}
