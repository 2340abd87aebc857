package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"drumlin/api/client"
)

// defaultServer is where a server listens unless told otherwise.
const defaultServer = "http://127.0.0.1:8888"

// serverVariable names the environment variable with the server's URL.
const serverVariable = "DRUMLIN_SERVER"

// Env is what commands use of the world.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Width returns how many cells wide the terminal on Stdout is, 0 where it is none.
	Width func() int

	server string // flag --server
}

// NewEnv returns the environment of a process with these streams.
func NewEnv(stdin io.Reader, stdout, stderr io.Writer) *Env {
	return &Env{Stdin: stdin, Stdout: stdout, Stderr: stderr, Getenv: os.Getenv, Width: func() int {
		file, ok := stdout.(*os.File)
		if !ok {
			return 0
		}
		width, _, err := term.GetSize(int(file.Fd()))
		if err != nil {
			return 0
		}
		return width
	}}
}

// serverURL is the flag's value, else the environment's, else the default.
func (e *Env) serverURL() string {
	if e.server != "" {
		return e.server
	}
	if fromEnv := e.Getenv(serverVariable); fromEnv != "" {
		return fromEnv
	}
	return defaultServer
}

// Client returns a client of the chosen server.
func (e *Env) Client() (*client.Client, error) {
	c, err := client.New(e.serverURL())
	if err != nil {
		return nil, Usage(err)
	}
	return c, nil
}

// Notef writes one line for people to standard error. An error of that stream has nowhere to go.
func (e *Env) Notef(format string, args ...any) {
	fmt.Fprintf(e.Stderr, format+"\n", args...) //nolint:errcheck // see above
}

// maxInputBytes bounds what is read from a file or standard input.
const maxInputBytes = 16 << 20

// readInput reads a file, or standard input where the name is "-".
func (e *Env) readInput(name string) ([]byte, error) {
	in := e.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInputBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxInputBytes {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes", name, maxInputBytes)
	}
	return data, nil
}

// usageError is a mistake in how a command was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Usage marks an error as a mistake in how the command was called: exit code 2.
func Usage(err error) error {
	var already *usageError
	if err == nil || errors.As(err, &already) {
		return err
	}
	return &usageError{err}
}

// usagef makes such an error.
func usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }
