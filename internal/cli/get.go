package cli

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func newGetCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "get SUPERVISOR",
		Short:   "Print a supervisor's spec as JSON, without its secrets",
		Example: "  drumlin get wikipedia",
		Args:    exactly("the id of a SUPERVISOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := env.Client()
			if err != nil {
				return err
			}
			defer c.Close()
			spec, err := c.Spec(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return writeIndented(env, spec)
		},
	}
}

func writeIndented(env *Env, value json.RawMessage) error {
	var out bytes.Buffer
	if err := json.Indent(&out, value, "", "  "); err != nil {
		return fmt.Errorf("indent the server's answer: %w", err)
	}
	out.WriteByte('\n')
	_, err := env.Stdout.Write(out.Bytes())
	return err
}
