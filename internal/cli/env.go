package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"drumlin/api/client"
	"drumlin/internal/secure"
)

// defaultServer is where a server listens unless told otherwise.
const defaultServer = "http://127.0.0.1:8888"

// The environment variables that stand for flags: the server's URL, the token itself, and the file of its authorities.
const (
	serverVariable = "DRUMLIN_SERVER"
	tokenVariable  = "DRUMLIN_TOKEN"
	caVariable     = "DRUMLIN_CA_FILE"
)

// Env is what commands use of the world.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Width returns how many cells wide the terminal on Stdout is, 0 where it is none.
	Width func() int

	server    string           // flag --server
	tokenFile string           // flag --token-file; a token is no flag's value, since others can list those
	tls       secure.ClientTLS // flags --ca-file, --cert-file, --key-file
	warned    bool             // that a token can be read by others
}

// ServerFlags adds, to a command that talks to a server, the flags that say which one is meant, and as whom.
func (e *Env) ServerFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&e.server, "server", "", "URL of the server (default "+defaultServer+", or $"+serverVariable+")")
	f.StringVar(&e.tokenFile, "token-file", "", "file with the token to show to the server (or the token in $"+tokenVariable+")")
	f.StringVar(&e.tls.CAFile, "ca-file", "", "PEM file of the authorities that the server's certificate may be of (or $"+caVariable+")")
	f.StringVar(&e.tls.CertFile, "cert-file", "", "PEM file of the certificate to show to the server")
	f.StringVar(&e.tls.KeyFile, "key-file", "", "PEM file of that certificate's key")
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

// token is that of the flag's file, else the environment's, else none.
func (e *Env) token() (secure.Secret, error) {
	if e.tokenFile != "" {
		return secure.ReadTokenFile(e.tokenFile)
	}
	token, err := secure.ParseSecret(e.Getenv(tokenVariable))
	if err != nil {
		return "", fmt.Errorf("the token in %s cannot be used: %w", tokenVariable, err)
	}
	return token, nil
}

// Client returns a client of the chosen server.
func (e *Env) Client() (*client.Client, error) {
	token, err := e.token()
	if err != nil {
		return nil, Usage(err)
	}
	files := e.tls
	if files.CAFile == "" {
		files.CAFile = e.Getenv(caVariable)
	}
	config, err := files.Config()
	if err != nil {
		return nil, Usage(err)
	}
	c, err := client.New(e.serverURL(), client.Options{Token: token, TLS: config})
	if err != nil {
		return nil, Usage(err)
	}
	if c.Exposed() && !e.warned {
		e.warned = true
		e.Notef("warning: the token goes to %s without encryption; use https", c.URL())
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
type usageError struct {
	err  error
	hint string // what to do about it
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Usage marks an error as a mistake in how the command was called: exit code 2.
func Usage(err error) error {
	return UsageHint(err, "add --help to the command to see how it is used")
}

// UsageHint is Usage with another hint than --help.
func UsageHint(err error, hint string) error {
	var already *usageError
	if err == nil || errors.As(err, &already) {
		return err
	}
	return &usageError{err, hint}
}

// usagef makes such an error.
func usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }
