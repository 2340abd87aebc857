package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"drumlin/internal/producer"
	"drumlin/internal/table"
)

func newTopicCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic",
		Short: "Create, list and describe Kafka topics",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	properties := kafkaFlags(cmd, env)
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
			return withTopics(cmd.Context(), properties, func(t *producer.Topics) error { return t.Create(cmd.Context(), args[0], partitions) })
		},
	}
	create.Flags().Int32Var(&partitions, "partitions", 4, "number of partitions")
	list := &cobra.Command{
		Use:     "list",
		Short:   "List all topics",
		Example: "  drumlin topic list",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTopics(cmd.Context(), properties, func(t *producer.Topics) error { return listTopics(cmd.Context(), env, t) })
		},
	}
	describe := &cobra.Command{
		Use:     "describe NAME",
		Short:   "Show a topic's partitions and offsets",
		Example: "  drumlin topic describe events",
		Args:    exactly("the NAME of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withTopics(cmd.Context(), properties, func(t *producer.Topics) error { return describeTopic(cmd.Context(), env, t, args[0]) })
		},
	}
	cmd.AddCommand(create, list, describe)
	return cmd
}

func withTopics(ctx context.Context, properties func() (map[string]string, error), do func(*producer.Topics) error) error {
	client, err := properties()
	if err != nil {
		return err
	}
	topics, err := producer.OpenTopics(ctx, client)
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
