package strictyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// readJSON reads a text that json.Valid has accepted.
func (r *reader) readJSON(data []byte) Document {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	j := &jsonReader{reader: r, data: data, dec: dec, line: 1}
	root, err := j.value("", 1)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("the text goes on after its end")
		}
	}
	return r.document(root, err)
}

var errNotJSON = errors.New("the text is not valid JSON")

type jsonReader struct {
	*reader
	data []byte
	dec  *json.Decoder
	line int // of the last token
	at   int // bytes in which lines have been counted
}

// token reads one token, and counts the lines up to its end.
func (j *jsonReader) token() (json.Token, error) {
	token, err := j.dec.Token()
	if err != nil {
		return nil, errNotJSON
	}
	end := int(j.dec.InputOffset())
	j.line += bytes.Count(j.data[j.at:end], []byte("\n"))
	j.at = end
	return token, nil
}

func (j *jsonReader) value(path string, depth int) (*Node, error) {
	if err := j.admit(depth); err != nil {
		return nil, err
	}
	token, err := j.token()
	if err != nil {
		return nil, err
	}
	n := &Node{Kind: Null, Line: j.line}
	switch t := token.(type) {
	case json.Delim:
		return n, j.container(n, t, path, depth)
	case string:
		n.Kind, n.Text = String, t
	case json.Number:
		n.Kind, n.Text = Number, t.String()
	case bool:
		n.Kind, n.Text = Bool, fmt.Sprint(t)
	}
	return n, nil
}

func (j *jsonReader) container(n *Node, open json.Delim, path string, depth int) error {
	n.Kind = List
	if open == '{' {
		n.Kind = Map
	}
	for i := 0; j.dec.More(); i++ {
		if n.Kind == List {
			value, err := j.value(fmt.Sprintf("%s[%d]", path, i), depth+1)
			if err != nil {
				return err
			}
			n.List = append(n.List, value)
			continue
		}
		token, err := j.token()
		key, ok := token.(string)
		if err != nil || !ok {
			return errNotJSON
		}
		line := j.line
		value, err := j.value(Join(path, key), depth+1)
		if err != nil {
			return err
		}
		j.put(n, path, Entry{key, line, value})
	}
	_, err := j.token()
	return err
}
