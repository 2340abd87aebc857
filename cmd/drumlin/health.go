package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"drumlin/internal/cli"
)

func newHealthCommand(env *cli.Env) *cobra.Command {
	timeout := 3 * time.Second
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say by the exit code whether a server is ready",
		Long: `Ask a server's /status/health. The exit code is 0 where the server is ready, and 1 where it is not or does not answer: as the
health checks of containers want it. No token is needed.`,
		Example: `  drumlin health
  drumlin health --server http://127.0.0.1:8890 --timeout 1s`,
		Args: cli.NoArguments("which server is meant is told by --server"),
		RunE: func(cmd *cobra.Command, _ []string) error { return health(cmd.Context(), env, timeout) },
	}
	env.ServerFlags(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long the server may take to answer")
	return cmd
}

// health returns an error that says nothing but its text, so that every reason has the same exit code: containers give
// others a meaning of their own.
func health(ctx context.Context, env *cli.Env, timeout time.Duration) error {
	c, err := env.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	asking, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s does not answer within %s", c.URL(), timeout))
	defer cancel()
	if err := c.Ready(asking); err != nil {
		return errors.New(err.Error())
	}
	return nil
}
