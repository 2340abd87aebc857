package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drumlin/api/client"
	"drumlin/internal/table"
)

func newTaskCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "task",
		Short: "Submit, list and follow tasks: compact, kill, markUnused",
		Long: `Tasks work on what is stored. "compact" makes few large segments of many, and may narrow what they hold; "markUnused"
hides rows for ever; "kill" deletes objects that nothing shows any more. They are Druid's tasks, in YAML or JSON; examples
are in configs/tasks. Tasks run on the server: a command that is interrupted leaves them running.`,
		Example: `  drumlin task submit configs/tasks/compact-wikipedia.yaml --wait
  drumlin task list --state running`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTaskSubmitCommand(env), newTaskListCommand(env), newTaskStatusCommand(env), newTaskSpecCommand(env),
		newTaskLogCommand(env), newTaskReportCommand(env), newTaskCancelCommand(env))
	return cmd
}

const waitUsage = "wait until the task has ended, showing how far it is; fails where the task does"

func newTaskSubmitCommand(env *Env) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "submit FILE",
		Short: "Submit a task and print its id",
		Long: `Submit a task in YAML or JSON, Druid's included as they are. FILE may be - for standard input. A task that is wrong, or
asks for what the rows of its datasource cannot follow, is refused with every problem by its path, and nothing changes.`,
		Example: `  drumlin task submit configs/tasks/compact-wikipedia.yaml --wait
  drumlin task submit - < druid-task.json`,
		Args: exactly("the FILE of a task (or -)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			task, err := env.readInput(args[0])
			if err != nil {
				return err
			}
			return withClient(env, func(c *client.Client) error { return submitTask(cmd.Context(), env, c, task, wait) })
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, waitUsage)
	return cmd
}

// withClient makes a client for one command.
func withClient(env *Env, do func(*client.Client) error) error {
	c, err := env.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

func submitTask(ctx context.Context, env *Env, c *client.Client, task []byte, wait bool) error {
	submitted, err := c.SubmitTask(ctx, task)
	if err != nil {
		return err
	}
	env.warn(submitted.Warnings)
	if _, err := fmt.Fprintln(env.Stdout, submitted.ID); err != nil {
		return err
	}
	if wait {
		return waitAndReport(ctx, env, c, submitted.ID)
	}
	return nil
}

// warn prints what was accepted without effect.
func (e *Env) warn(warnings []string) {
	for _, warning := range warnings {
		e.Notef("warning: %s", table.Safe(warning))
	}
}

func newTaskListCommand(env *Env) *cobra.Command {
	var f client.TaskFilter
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks, newest first",
		Example: `  drumlin task list
  drumlin task list --state running --datasource events
  drumlin sql "SELECT status, COUNT(*) FROM sys.tasks GROUP BY 1"`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			states := []string{"", "waiting", "pending", "running", "complete"}
			if !slices.Contains(states, f.State) {
				return usagef("--state %s is not known: it must be %s", f.State, strings.Join(states[1:], ", "))
			}
			return withClient(env, func(c *client.Client) error { return listTasks(cmd.Context(), env, c, f, asJSON) })
		},
	}
	cmd.Flags().StringVar(&f.State, "state", "", "waiting (for the next attempt), pending (for a slot), running or complete")
	cmd.Flags().StringVar(&f.DataSource, "datasource", "", "tasks of this datasource only")
	cmd.Flags().StringVar(&f.Type, "type", "", "tasks of this type only: compact, kill or markUnused")
	cmd.Flags().IntVar(&f.Max, "max", 50, "at most so many complete tasks, the newest; 0: all that are remembered")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	return cmd
}

func listTasks(ctx context.Context, env *Env, c *client.Client, f client.TaskFilter, asJSON bool) error {
	tasks, err := c.Tasks(ctx, f)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(env.Stdout)
		enc.SetEscapeHTML(false)
		for i := range tasks {
			if err := enc.Encode(&tasks[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(tasks) == 0 {
		env.Notef("there is no such task: submit one with `drumlin task submit FILE` or `drumlin compact DATASOURCE`")
		return nil
	}
	return taskTable(tasks).Write(env.Stdout, env.Width())
}

func taskTable(tasks []client.Task) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Name: "task"},
		{Name: "type"},
		{Name: "datasource"},
		{Name: "state"},
		{Name: "chunks", Right: true},
		{Name: "priority", Right: true},
		{Name: "origin"},
		{Name: "created"},
		{Name: "took", Right: true},
	}}
	for i := range tasks {
		task := &tasks[i]
		t.Rows = append(t.Rows, []string{
			task.ID, task.Type, task.DataSource, taskState(task), chunksText(task), strconv.Itoa(task.Priority), task.Origin,
			toSeconds(task.CreatedTime), tookText(task),
		})
	}
	return t
}

// toSeconds shortens an instant in ISO 8601.
func toSeconds(instant string) string {
	seconds, _, _ := strings.Cut(instant, ".")
	return seconds
}

// taskState is the code that says most.
func taskState(t *client.Task) string {
	switch {
	case t.Finished():
		return t.StatusCode
	case t.CancelRequested:
		return "CANCELLING"
	}
	return t.RunnerStatusCode
}

func chunksText(t *client.Task) string {
	if t.ChunksTotal == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", t.ChunksDone, t.ChunksTotal)
}

func tookText(t *client.Task) string {
	if !t.Finished() || t.DurationMillis < 0 {
		return ""
	}
	return shortDuration(time.Duration(t.DurationMillis) * time.Millisecond)
}

func newTaskStatusCommand(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status TASK",
		Short:   "Show where a task stands, and why",
		Example: "  drumlin task status compact_wikipedia_1",
		Args:    exactly("the id of a TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error {
				t, err := c.TaskStatus(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if asJSON {
					text, err := json.Marshal(t)
					if err != nil {
						return fmt.Errorf("encode the status: %w", err)
					}
					return writeIndented(env, text)
				}
				return writeTask(env, t)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeTask(env *Env, t *client.Task) error {
	if err := taskTable([]client.Task{*t}).Write(env.Stdout, env.Width()); err != nil {
		return err
	}
	if t.ErrorMsg != nil {
		if _, err := fmt.Fprintf(env.Stdout, "\n%s\n", table.Safe(*t.ErrorMsg)); err != nil {
			return err
		}
	}
	switch {
	case t.NextAttempt != "":
		env.Notef("attempt %d did not do; the next one is due at %s", t.Attempt, t.NextAttempt)
	case t.Finished():
		env.Notef("see also: drumlin task report %[1]s, drumlin task log %[1]s", table.Safe(t.ID))
	}
	return nil
}

func newTaskSpecCommand(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "spec TASK",
		Short:   "Print a task as it was submitted",
		Long:    "Print a task as it was submitted, as JSON: it can be submitted again.",
		Example: "  drumlin task spec compact_wikipedia_1",
		Args:    exactly("the id of a TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error {
				text, err := c.TaskSpec(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return writeIndented(env, text)
			})
		},
	}
}

func newTaskLogCommand(env *Env) *cobra.Command {
	var offset int64
	cmd := &cobra.Command{
		Use:   "log TASK",
		Short: "Print a task's log",
		Long:  "Print the log of a task's newest attempt. Logs outlive the process that ran the task.",
		Example: `  drumlin task log compact_wikipedia_1
  drumlin task log compact_wikipedia_1 --offset -4096`,
		Args: exactly("the id of a TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error {
				return c.TaskLog(cmd.Context(), env.Stdout, args[0], offset)
			})
		},
	}
	cmd.Flags().Int64Var(&offset, "offset", 0, "leave out so many bytes; a negative number: print so many bytes from the end")
	return cmd
}

func newTaskReportCommand(env *Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report TASK",
		Short: "Show what a task has done: segments, rows and bytes before and after",
		Example: `  drumlin task report compact_wikipedia_1
  drumlin task report compact_wikipedia_1 --json`,
		Args: exactly("the id of a TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error {
				text, err := c.TaskReportJSON(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return writeIndented(env, text)
				}
				return writeReport(env, text)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newTaskCancelCommand(env *Env) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:     "cancel TASK",
		Short:   "End a task; what it has finished stays",
		Example: "  drumlin task cancel compact_wikipedia_1",
		Args:    exactly("the id of a TASK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(env, func(c *client.Client) error {
				if err := c.CancelTask(cmd.Context(), args[0]); err != nil {
					return err
				}
				if !wait {
					return nil
				}
				_, err := waitTask(cmd.Context(), env, c, args[0])
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the task has ended")
	return cmd
}
