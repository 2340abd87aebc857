package cli

import "github.com/spf13/cobra"

// FeedCommands are the verbs that talk to Kafka itself: they need brokers, and no Drumlin server.
func FeedCommands(env *Env) []*cobra.Command {
	return []*cobra.Command{newGenerateCommand(env), newProduceCommand(env), newTopicCommand(env)}
}
