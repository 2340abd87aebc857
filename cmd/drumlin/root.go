package main

import (
	"io"

	"github.com/spf13/cobra"

	"drumlin/internal/cli"
)

// version is set at link time.
var version = "dev"

// newRootCommand returns the whole command tree, reading and writing these streams only.
func newRootCommand(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	env := cli.NewEnv(stdin, stdout, stderr)
	return cli.NewRoot(env, version, append([]*cobra.Command{newDevCommand(env), newServerCommand(env), newConfigCommand(env), newHealthCommand(env)}, cli.FeedCommands(env)...)...)
}
