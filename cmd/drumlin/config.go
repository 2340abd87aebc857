package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"drumlin/internal/cli"
	"drumlin/internal/config"
)

func newConfigCommand(env *cli.Env) *cobra.Command {
	var file string
	var set []string
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting of a server with its default, or what a file makes of them",
		Long: `Print all settings of "drumlin server" as YAML, each with a comment that says what it does. Without a file these are the defaults: a
file to begin with. With one, or with --set, they are the effective ones, with what ${NAME} took from the environment; secrets are
hidden. What is wrong with them, and what is allowed but seldom meant, is told on standard error.`,
		Example: `  drumlin config > server.yaml
  drumlin config --config server.yaml --set query.threads=2`,
		Args: cli.NoArguments("`drumlin config check FILE` says what is wrong with a file, `drumlin config --config FILE` prints what it comes to"),
		RunE: func(*cobra.Command, []string) error {
			c, err := loadConfig(env, file)
			if err != nil {
				return err
			}
			if err := c.SetAll(set); err != nil {
				return cli.Usage(err)
			}
			if err := config.Print(env.Stdout, c); err != nil {
				return err
			}
			return judge(env, c)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "YAML file; without one, the defaults")
	cmd.Flags().StringArrayVar(&set, "set", nil, "PATH=VALUE that overrides one setting; may be repeated")
	cmd.AddCommand(newConfigCheckCommand(env))
	return cmd
}

func newConfigCheckCommand(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Say what is wrong with a server's configuration, all of it at once",
		Long: `Read a file as "drumlin server --config FILE" does, with the variables of this environment, and say what is wrong with it. Nothing is
started or connected to. The exit code is 0 where a server would start by it.`,
		Example: `  drumlin config check server.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usage(errors.New("drumlin config check needs one FILE"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := loadConfig(env, args[0])
			if err != nil {
				return err
			}
			if err := judge(env, c); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			env.Notef("%s is valid", args[0])
			return nil
		},
	}
}

// loadConfig reads a file over the defaults; without a name, the defaults alone.
func loadConfig(env *cli.Env, file string) (config.Server, error) {
	if file == "" {
		return config.Default(), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return config.Server{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := config.Parse(data, env.Getenv)
	if err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// judge tells what is seldom meant and returns what is wrong.
func judge(env *cli.Env, c config.Server) error {
	for _, warning := range c.Warnings() {
		env.Notef("warning: %s", warning)
	}
	return c.Validate()
}
