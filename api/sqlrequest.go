package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"drumlin/internal/nearest"
)

const (
	maxSQLBodyBytes  = 4 << 20
	maxQueryIDBytes  = 256
	contentTypeJSON  = "application/json"
	contentTypeText  = "text/plain"
	contentTypeForm  = "application/x-www-form-urlencoded"
	contextQueryID   = "sqlQueryId"
	headerQueryID    = "X-Druid-SQL-Query-Id"
	headerIncluded   = "X-Druid-SQL-Header-Included"
	headerCut        = "X-Drumlin-Cut"
	headerCutOmitted = "X-Drumlin-Cut-Omitted"
	headerPartial    = "X-Drumlin-Partial"
)

// sqlRequest is a decoded request for SQL.
type sqlRequest struct {
	id     string
	query  Query
	format resultFormat
	header headerOptions
}

// sqlFields are the fields of a request, as Druid names them.
var sqlFields = []string{"query", "resultFormat", "header", "typesHeader", "sqlTypesHeader", "context", "parameters"}

// readSQLRequest reads the body by its content type.
func readSQLRequest(w http.ResponseWriter, r *http.Request) (*sqlRequest, error) {
	body, err := readBody(w, r, maxSQLBodyBytes)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(body) {
		return nil, invalidInput("The request body is not valid UTF-8.")
	}
	media, err := mediaType(r)
	if err != nil {
		return nil, err
	}
	switch media {
	case "":
		if looksLikeJSON(body) {
			return decodeSQLRequest(body)
		}
		return textSQLRequest(string(body))
	case contentTypeJSON:
		return decodeSQLRequest(body)
	case contentTypeText:
		return textSQLRequest(string(body))
	case contentTypeForm:
		if looksLikeJSON(body) {
			return nil, unsupportedMedia(media, "The body looks like JSON: send it with the header Content-Type: "+
				"application/json (curl -H 'Content-Type: application/json').")
		}
		sql, err := url.QueryUnescape(string(body))
		if err != nil {
			return nil, invalidInput("The form-encoded body cannot be decoded: %v.", err)
		}
		return textSQLRequest(sql)
	}
	return nil, unsupportedMedia(media, "Send application/json with a field query, or the statement alone as text/plain.")
}

// readBody reads at most max bytes.
func readBody(w http.ResponseWriter, r *http.Request, maxBytes int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		e := invalidInput("The request body is larger than %d bytes.", maxBytes)
		e.Status = http.StatusRequestEntityTooLarge
		return nil, e
	case err != nil:
		e := invalidInput("The request body cannot be read to its end.")
		e.Err = err
		return nil, e
	}
	return body, nil
}

// mediaType returns the first Content-Type without its parameters; "" where there is none. Text must be UTF-8.
func mediaType(r *http.Request) (string, error) {
	value := r.Header.Get("Content-Type")
	if value == "" {
		return "", nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil {
		return "", unsupportedMedia(value, "The header cannot be parsed.")
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") && !strings.EqualFold(cs, "us-ascii") {
		return "", unsupportedMedia(value, "Text must be UTF-8.")
	}
	return media, nil
}

func unsupportedMedia(media, hint string) *Error {
	return &Error{
		Category: InvalidInput, Code: "unsupportedMediaType", Status: http.StatusUnsupportedMediaType,
		Message: fmt.Sprintf("Content-Type %q is not accepted here.", media), Hint: hint,
	}
}

func looksLikeJSON(body []byte) bool {
	trimmed := bytes.TrimSpace(body)
	return len(trimmed) > 0 && trimmed[0] == '{'
}

// textSQLRequest makes a request of a bare statement.
func textSQLRequest(sql string) (*sqlRequest, error) {
	req := &sqlRequest{query: Query{SQL: sql}, format: formatObject}
	return req, req.complete()
}

// decodeSQLRequest reads the JSON form. It is strict: what it does not know it refuses by name.
func decodeSQLRequest(body []byte) (*sqlRequest, error) {
	fields, err := decodeObject(body, "the request", sqlFields)
	if err != nil {
		return nil, err
	}
	req := &sqlRequest{format: formatObject}
	var formatName *string
	var parameters []json.RawMessage
	for _, f := range []struct {
		name, want string
		into       any
	}{
		{"query", "a string", &req.query.SQL},
		{"resultFormat", "a string", &formatName},
		{"header", "true or false", &req.header.names},
		{"typesHeader", "true or false", &req.header.druidTypes},
		{"sqlTypesHeader", "true or false", &req.header.sqlTypes},
		{"parameters", "a list of objects {type, value}", &parameters},
	} {
		raw, ok := fields[f.name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, f.into); err != nil {
			return nil, invalidInput("Field %q must be %s.", f.name, f.want)
		}
	}
	if formatName != nil {
		if req.format, err = parseResultFormat(*formatName); err != nil {
			return nil, err
		}
	}
	if req.query.Parameters, err = decodeParameters(parameters); err != nil {
		return nil, err
	}
	if req.query.Context, err = decodeContext(fields["context"]); err != nil {
		return nil, err
	}
	return req, req.complete()
}

// complete checks what the fields say together and gives the query its id.
func (req *sqlRequest) complete() error {
	if strings.TrimSpace(req.query.SQL) == "" {
		return invalidInput("Field \"query\" must hold a SQL statement.")
	}
	if !req.header.names && (req.header.druidTypes || req.header.sqlTypes) {
		return invalidInput("Fields \"typesHeader\" and \"sqlTypesHeader\" need \"header\": true.")
	}
	if req.query.Context == nil {
		req.query.Context = make(map[string]any, 1)
	}
	switch id := req.query.Context[contextQueryID].(type) {
	case nil:
		req.id = uuid.NewString()
	case string:
		if !printableASCII(id) || id == "" || len(id) > maxQueryIDBytes {
			return invalidInput("Context sqlQueryId must be 1 to %d printable ASCII characters.", maxQueryIDBytes)
		}
		req.id = id
	default:
		return invalidInput("Context sqlQueryId must be a string.")
	}
	req.query.Context[contextQueryID] = req.id
	return nil
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// decodeObject reads one JSON object and refuses fields that are not among known. Fields that are null count as absent.
func decodeObject(body []byte, what string, known []string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, &Error{
			Category: InvalidInput, Code: "invalidInput", Err: err,
			Message: fmt.Sprintf("The body of %s is not a JSON object: %v.", what, err),
		}
	}
	if fields == nil {
		return nil, invalidInput("The body of %s is not a JSON object.", what)
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, unknownField(name, what, known)
		}
		if string(fields[name]) == "null" {
			delete(fields, name)
		}
	}
	return fields, nil
}

func unknownField(name, what string, known []string) *Error {
	e := invalidInput("Unknown field %q in %s.", name, what)
	if near := nearest.Within(name, known, len(name)/2); near != "" {
		e.Message += fmt.Sprintf(" Did you mean %q?", near)
	}
	e.Hint = "Known fields: " + strings.Join(known, ", ") + "."
	return e
}

// decodeContext reads the context's values; numbers become int64 or float64.
func decodeContext(raw json.RawMessage) (map[string]any, error) {
	if raw == nil {
		return nil, nil
	}
	value, err := decodeValue(raw)
	if err != nil {
		return nil, invalidInput("Field \"context\" must be an object: %v.", err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, invalidInput("Field \"context\" must be an object.")
	}
	return object, nil
}

// decodeParameters reads the values for the question marks.
func decodeParameters(list []json.RawMessage) ([]Parameter, error) {
	out := make([]Parameter, 0, len(list))
	for i, raw := range list {
		what := fmt.Sprintf("parameter %d", i+1)
		fields, err := decodeObject(raw, what, []string{"type", "value"})
		if err != nil {
			return nil, err
		}
		var p Parameter
		if t, ok := fields["type"]; !ok || json.Unmarshal(t, &p.Type) != nil || p.Type == "" {
			return nil, invalidInput("The type of %s must be the name of a SQL type, such as VARCHAR or BIGINT.", what)
		}
		if v, ok := fields["value"]; ok {
			if p.Value, err = decodeValue(v); err != nil {
				return nil, invalidInput("The value of %s cannot be used: %v.", what, err)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// decodeValue reads one JSON value without losing digits of integers.
func decodeValue(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	return plainNumbers(value)
}

// plainNumbers replaces every json.Number by an int64 or a float64. An integer that fits neither exactly is refused.
func plainNumbers(value any) (any, error) {
	switch v := value.(type) {
	case json.Number:
		return plainNumber(v)
	case []any:
		for i := range v {
			n, err := plainNumbers(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = n
		}
	case map[string]any:
		for k := range v {
			n, err := plainNumbers(v[k])
			if err != nil {
				return nil, err
			}
			v[k] = n
		}
	}
	return value, nil
}

func plainNumber(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i, nil
	}
	if !strings.ContainsAny(n.String(), ".eE") {
		return nil, fmt.Errorf("the integer %s does not fit 64 bits (write it with a decimal point to mean a double)", n)
	}
	f, err := n.Float64()
	if err != nil {
		return nil, fmt.Errorf("the number %s is out of range", n)
	}
	return f, nil
}
