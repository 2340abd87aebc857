package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"drumlin/internal/producer"
	"drumlin/internal/table"
)

// defaultBrokers is where drumlin dev's broker listens unless told otherwise.
const defaultBrokers = "127.0.0.1:9092"

// brokersVariable names the environment variable with the brokers' addresses.
const brokersVariable = "DRUMLIN_BROKERS"

// brokersFlag adds --brokers to a command and returns how to read it.
func brokersFlag(cmd *cobra.Command, env *Env) func() []string {
	flag := cmd.PersistentFlags().String("brokers", "",
		"Kafka brokers, host:port separated by commas (default "+defaultBrokers+", or $"+brokersVariable+")")
	return func() []string {
		text := *flag
		if text == "" {
			text = env.Getenv(brokersVariable)
		}
		if text == "" {
			text = defaultBrokers
		}
		return strings.Split(text, ",")
	}
}

func newTopicCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic",
		Short: "Create, list and describe Kafka topics",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	brokers := brokersFlag(cmd, env)
	var partitions int32
	create := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a topic",
		Example: "  drumlin topic create events --partitions 4",
		Args:    exactly("the NAME of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if partitions < 1 {
				return usagef("--partitions must be 1 or more, not %d", partitions)
			}
			return withTopics(cmd.Context(), brokers(), func(t *producer.Topics) error { return t.Create(cmd.Context(), args[0], partitions) })
		},
	}
	create.Flags().Int32Var(&partitions, "partitions", 4, "number of partitions")
	list := &cobra.Command{
		Use:     "list",
		Short:   "List all topics",
		Example: "  drumlin topic list",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTopics(cmd.Context(), brokers(), func(t *producer.Topics) error { return listTopics(cmd.Context(), env, t) })
		},
	}
	describe := &cobra.Command{
		Use:     "describe NAME",
		Short:   "Show a topic's partitions and offsets",
		Example: "  drumlin topic describe events",
		Args:    exactly("the NAME of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTopics(cmd.Context(), brokers(), func(t *producer.Topics) error { return describeTopic(cmd.Context(), env, t, args[0]) })
		},
	}
	cmd.AddCommand(create, list, describe)
	return cmd
}

func withTopics(ctx context.Context, brokers []string, do func(*producer.Topics) error) error {
	topics, err := producer.OpenTopics(ctx, brokers)
	if err != nil {
		return err
	}
	defer topics.Close()
	return do(topics)
}

func listTopics(ctx context.Context, env *Env, topics *producer.Topics) error {
	all, err := topics.Describe(ctx)
	if err != nil {
		return err
	}
	t := table.Table{Columns: []table.Column{{Name: "topic"}, {Name: "partitions", Right: true}, {Name: "records", Right: true}}}
	for _, topic := range all {
		records := int64(0)
		for _, p := range topic.Partitions {
			records += p.End - p.Start
		}
		t.Rows = append(t.Rows, []string{topic.Name, strconv.Itoa(len(topic.Partitions)), strconv.FormatInt(records, 10)})
	}
	return t.Write(env.Stdout, env.Width())
}

func describeTopic(ctx context.Context, env *Env, topics *producer.Topics, name string) error {
	found, err := topics.Describe(ctx, name)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("there is no topic %s; drumlin topic list shows those that exist", name)
	}
	t := table.Table{Columns: []table.Column{
		{Name: "partition", Right: true}, {Name: "leader", Right: true}, {Name: "start offset", Right: true}, {Name: "end offset", Right: true},
	}}
	for _, p := range found[0].Partitions {
		t.Rows = append(t.Rows, []string{
			strconv.Itoa(int(p.Partition)), strconv.Itoa(int(p.Leader)), strconv.FormatInt(p.Start, 10), strconv.FormatInt(p.End, 10),
		})
	}
	if err := t.Write(env.Stdout, env.Width()); err != nil {
		return err
	}
	env.Notef("topic %s, id %s", found[0].Name, found[0].ID)
	return nil
}
