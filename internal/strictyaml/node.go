package strictyaml

import "strings"

// Kind is the form of a value.
type Kind uint8

// The forms of values. Unread stands in the place of a value that is not read; a problem tells why.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Map
	Unread
)

// String names the form as a message does.
func (k Kind) String() string {
	return [...]string{"null", "true or false", "a number", "a text", "a list", "an object", "a value that is not read"}[k]
}

// Node is one value of the text, the same for YAML and JSON.
type Node struct {
	Kind    Kind
	Line    int     // where it begins, from 1
	Text    string  // of a scalar, as it was written: Bool may be True, Number 0x10 or .inf
	List    []*Node // of a list
	Entries []Entry // of a map, in the text's order, without two of one key
}

// Entry is one field of a map.
type Entry struct {
	Key   string
	Line  int // of the key
	Value *Node
}

// Get returns the value of a key, or nil where it is absent or null. A nil node has no keys.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for _, e := range n.Entries {
		if e.Key == key && e.Value.Kind != Null {
			return e.Value
		}
	}
	return nil
}

// True tells whether a Bool is true: YAML knows it as True and TRUE too.
func (n *Node) True() bool { return n.Kind == Bool && strings.EqualFold(n.Text, "true") }

// Problem is one thing that keeps a text, or a value of it, from being read. Path is empty for the text as a whole, Line is 0
// where the problem is not in one line.
type Problem struct {
	Path    string
	Line    int
	Message string
}

// Join appends the name of a field to a path, as it is shown.
func Join(path, key string) string {
	if path == "" {
		return Shown(key)
	}
	return path + "." + Shown(key)
}

// Shown is a name from outside in a message: what is long is cut, and control characters go.
func Shown(name string) string {
	const maxShownBytes = 80
	if len(name) > maxShownBytes {
		name = strings.ToValidUTF8(name[:maxShownBytes], "") + "…"
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '\uFFFD'
		}
		return c
	}, name)
}
