// Package config reads the configuration of a server process: a YAML file over defaults that suit one machine, and single
// fields set over both. One table (Fields) holds what is said of every field, for the printed configuration and for
// docs/config.md.
//
// It never opens a file, a network connection or the environment by itself: the caller gives the text and a way to look up
// variables. It decides nothing about data, and knows no other part of Drumlin but other helpers: strictyaml reads the text.
//
// Invariants: every problem of a text is reported at once, each with its path and line. A field that does not exist is a
// problem. No text that the package makes holds a secret, a value that came from the environment, or a part of the file that
// could not be understood. What Print writes, Parse reads back to the same configuration, but for secrets, which it hides.
package config
