package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	var usage *usageError
	message, code := err.Error(), exitFailed
	switch {
	case errors.Is(err, context.Canceled):
		message, code = "interrupted", exitInterrupted
	case errors.As(err, &unreachable):
		message += "\nhint: is `drumlin dev` running? Another server is chosen with --server or " + serverVariable
		code = exitUnreachable
	case errors.As(err, &usage):
		message += "\nhint: add --help to the command to see how it is used"
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
