package api

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"drumlin/internal/nearest"
)

// resultFormat is one of Druid's result formats.
type resultFormat string

const (
	formatObject      resultFormat = "object"
	formatArray       resultFormat = "array"
	formatObjectLines resultFormat = "objectLines"
	formatArrayLines  resultFormat = "arrayLines"
	formatCSV         resultFormat = "csv"
)

var resultFormats = []string{
	string(formatObject), string(formatArray), string(formatObjectLines), string(formatArrayLines), string(formatCSV),
}

// parseResultFormat reads the name of a format, in any case, as Druid does.
func parseResultFormat(name string) (resultFormat, error) {
	for _, f := range resultFormats {
		if strings.EqualFold(name, f) {
			return resultFormat(f), nil
		}
	}
	e := invalidInput("Field \"resultFormat\": %q is not known.", name)
	if near := nearest.Within(name, resultFormats, len(name)/2); near != "" {
		e.Message += fmt.Sprintf(" Did you mean %q?", near)
	}
	e.Hint = "Known formats: " + strings.Join(resultFormats, ", ") + "."
	return "", e
}

// contentType is the media type that Druid gives the format.
func (f resultFormat) contentType() string {
	switch f {
	case formatObjectLines, formatArrayLines:
		return "text/plain; charset=utf-8"
	case formatCSV:
		return "text/csv; charset=utf-8"
	}
	return contentTypeJSON
}

// headerOptions says what stands before the rows.
type headerOptions struct {
	names, druidTypes, sqlTypes bool
}

// encodeBufferBytes is how much is collected before it is sent.
const encodeBufferBytes = 64 << 10

// encoder writes one answer in one format.
type encoder struct {
	out     io.Writer
	format  resultFormat
	columns []Column
	rows    Rows
	keys    [][]byte // of the object formats: "name": with the comma that precedes it
	buf     []byte
	written bool // an element stands before the next one
}

// encodeAnswer writes the whole answer, and returns the number of rows. It stops at the first error of out.
func encodeAnswer(out io.Writer, a *Answer, format resultFormat, header headerOptions) (int64, error) {
	e := &encoder{
		out: out, format: format, columns: a.Columns, rows: a.Rows,
		buf: make([]byte, 0, encodeBufferBytes+4096),
	}
	if err := e.prepareKeys(); err != nil {
		return 0, err
	}
	if format == formatObject || format == formatArray {
		e.buf = append(e.buf, '[')
	}
	if header.names {
		if err := e.appendHeader(header); err != nil {
			return 0, err
		}
	}
	var count int64
	for a.Rows.Next() {
		e.appendRow()
		count++
		if len(e.buf) >= encodeBufferBytes {
			if err := e.flush(); err != nil {
				return count, err
			}
		}
	}
	if format == formatObject || format == formatArray {
		e.buf = append(e.buf, ']')
	}
	// In the line formats and csv this newline makes the blank line by which a reader knows that nothing is missing.
	e.buf = append(e.buf, '\n')
	return count, e.flush()
}

func (e *encoder) flush() error {
	_, err := e.out.Write(e.buf)
	e.buf = e.buf[:0]
	return err
}

func (e *encoder) prepareKeys() error {
	e.keys = make([][]byte, len(e.columns))
	for i, key := range objectKeys(e.columns) {
		name, err := quote(key)
		if err != nil {
			return err
		}
		var key []byte
		if i > 0 {
			key = append(key, ',')
		}
		e.keys[i] = append(append(key, name...), ':')
	}
	return nil
}

// objectKeys are the columns' names, each once: of two members with one name most readers of JSON drop one.
func objectKeys(columns []Column) []string {
	taken := make(map[string]bool, len(columns))
	for _, c := range columns {
		taken[c.Name] = true
	}
	keys, seen := make([]string, len(columns)), make(map[string]bool, len(columns))
	for i, c := range columns {
		key := c.Name
		for n := 1; seen[c.Name] && taken[key]; n++ {
			key = fmt.Sprintf("%s_%d", c.Name, n)
		}
		taken[key], seen[c.Name] = true, true
		keys[i] = key
	}
	return keys
}

// quote returns the JSON string.
func quote(s string) ([]byte, error) {
	text, err := marshal(s)
	if err != nil {
		return nil, err
	}
	return text[:len(text)-1], nil
}

// begin and end stand around every row and every line of a header.
func (e *encoder) begin() {
	switch e.format {
	case formatObject:
		if e.written {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(e.buf, '{')
	case formatArray:
		if e.written {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(e.buf, '[')
	case formatObjectLines:
		e.buf = append(e.buf, '{')
	case formatArrayLines:
		e.buf = append(e.buf, '[')
	case formatCSV:
	}
	e.written = true
}

func (e *encoder) end() {
	switch e.format {
	case formatObject:
		e.buf = append(e.buf, '}')
	case formatArray:
		e.buf = append(e.buf, ']')
	case formatObjectLines:
		e.buf = append(e.buf, '}', '\n')
	case formatArrayLines:
		e.buf = append(e.buf, ']', '\n')
	case formatCSV:
		e.buf = append(e.buf, '\n')
	}
}

func (e *encoder) appendRow() {
	e.begin()
	for i := range e.columns {
		switch e.format {
		case formatObject, formatObjectLines:
			e.buf = append(e.buf, e.keys[i]...)
			e.buf = e.rows.AppendJSON(e.buf, i)
		case formatArray, formatArrayLines:
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			e.buf = e.rows.AppendJSON(e.buf, i)
		case formatCSV:
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			e.buf = e.rows.AppendCSV(e.buf, i)
		}
	}
	e.end()
}

// appendHeader writes one object of names to types, or one line for names and one for each kind of type.
func (e *encoder) appendHeader(h headerOptions) error {
	if e.format == formatObject || e.format == formatObjectLines {
		return e.appendObjectHeader(h)
	}
	lines := []func(Column) string{func(c Column) string { return c.Name }}
	if h.druidTypes {
		lines = append(lines, func(c Column) string { return c.DruidType })
	}
	if h.sqlTypes {
		lines = append(lines, func(c Column) string { return c.SQLType })
	}
	for _, text := range lines {
		e.begin()
		for i, c := range e.columns {
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			if e.format == formatCSV {
				e.buf = appendCSVText(e.buf, text(c))
				continue
			}
			quoted, err := quote(text(c))
			if err != nil {
				return err
			}
			e.buf = append(e.buf, quoted...)
		}
		e.end()
	}
	return nil
}

func (e *encoder) appendObjectHeader(h headerOptions) error {
	e.begin()
	for i, c := range e.columns {
		e.buf = append(e.buf, e.keys[i]...)
		if !h.druidTypes && !h.sqlTypes {
			e.buf = append(e.buf, "null"...)
			continue
		}
		types := struct {
			Type    string `json:"type,omitempty"`
			SQLType string `json:"sqlType,omitempty"`
		}{}
		if h.druidTypes {
			types.Type = c.DruidType
		}
		if h.sqlTypes {
			types.SQLType = c.SQLType
		}
		text, err := marshal(types)
		if err != nil {
			return err
		}
		e.buf = append(e.buf, text[:len(text)-1]...)
	}
	e.end()
	return nil
}

// appendCSVText appends one field, quoted where a comma, a quote or a line end is in it.
func appendCSVText(dst []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"\r\n") {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(s, `"`, `""`)...)
	return append(dst, '"')
}

// asciiJSON escapes everything that is not printable ASCII, for use in an HTTP header.
func asciiJSON(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r < 0x7F:
			out.WriteRune(r)
		case r <= 0xFFFF:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			r -= 0x10000
			out.WriteString(`\u` + strconv.FormatInt(int64(0xD800+r>>10), 16))
			out.WriteString(`\u` + strconv.FormatInt(int64(0xDC00+r&0x3FF), 16))
		}
	}
	return out.String()
}
