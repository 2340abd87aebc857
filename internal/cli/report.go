package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"drumlin/api/client"
	"drumlin/internal/table"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitInterrupted = 130
)

// Report prints a command's error, with what to do about it, and returns the process's exit code.
func Report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	var unreachable *client.Unreachable
	var refused *client.Error
	var usage *usageError
	message, code := err.Error(), exitFailed
	switch {
	case errors.Is(err, context.Canceled):
		message, code = "interrupted", exitInterrupted
	case errors.As(err, &unreachable) && unreachable.Untrusted():
		message += "\nhint: the server's authority is named with --ca-file or " + caVariable
		code = exitUnreachable
	case errors.As(err, &unreachable):
		message += "\nhint: is `drumlin dev` running? Another server is chosen with --server or " + serverVariable
		code = exitUnreachable
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		message = refused.Message + "\nhint: set " + tokenVariable + ", or name a file that holds the token with --token-file"
	case errors.As(err, &usage):
		message += "\nhint: " + usage.hint
		code = exitUsage
	}
	for i, line := range strings.Split(message, "\n") {
		if i == 0 {
			line = "drumlin: " + line
		}
		// Where even this cannot be written there is nobody left to tell; the exit code remains.
		fmt.Fprintln(stderr, table.Safe(strings.ReplaceAll(line, "\t", "  "))) //nolint:errcheck // see above
	}
	return code
}
