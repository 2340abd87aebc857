// Package strictyaml reads one YAML or JSON document that comes from outside into a tree, for readers that know each of
// their fields: specs, tasks, and the configuration of a server.
//
// Invariants:
//   - No text uses up memory or the stack, or ends the process: size, nesting and the number of values are limited, and a
//     fault of the YAML parser is a problem of the text.
//   - A scalar keeps the text that was written: 0123 stays a name where a name is wanted, and a password stays what it is.
//   - Nothing is guessed: keys given twice, merge keys, tags and several documents are problems.
//   - No problem shows a value: it may be a secret. Paths show the names of fields, shortened and without control characters.
package strictyaml
