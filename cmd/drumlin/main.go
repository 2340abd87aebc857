// Command drumlin is the whole of Drumlin: the server's roles and the commands that talk to one.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"drumlin/internal/cli"
)

func main() {
	// The first signal asks to stop; after it the default handling is back, so that a second one ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := newRootCommand(os.Stdin, os.Stdout, os.Stderr).ExecuteContext(ctx)
	os.Exit(cli.Report(os.Stderr, err))
}
