package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
	"drumlin/tests/oracle"
)

const spec = `
type: kafka
spec:
  dataSchema:
    dataSource: survivors
    timestampSpec: {column: timestamp, format: millis}
    dimensionsSpec:
      dimensions: [event, {type: long, name: value}]
    granularitySpec: {segmentGranularity: hour, queryGranularity: none, rollup: false}
    dedupSpec: {key: messageId}
  ioConfig:
    topic: survivors
    inputFormat: {type: json}
    useEarliestOffset: true
  tuningConfig: {type: kafka, maxRowsPerSegment: 3000}
`

const (
	topic      = "survivors"
	askEvery   = 40 * time.Millisecond
	roundLimit = 900 * time.Millisecond // from healthy to the kill, at most
)

var rules = oracle.Rules{TimeField: "timestamp", KeyField: "messageId", Chunk: time.Hour}

// plan is what a campaign is made of.
type plan struct {
	spec, question string
	args           []string // of drumlin dev
	createTopic    bool
	// equalCopies: all records of one key have one value, since it is not said whose value a copy has that comes after the
	// other one was rolled up.
	equalCopies bool
	prepare     func(t *testing.T, d *harness.Dev)                           // once; nil: nothing
	beside      func(ctx context.Context, d *harness.Dev, random *rand.Rand) // in every round until it is killed; nil: nothing
	met         func(t *testing.T, d *harness.Dev) bool                      // the rounds go on until it is; nil: at once
}

func ingestPlan(createTopic bool) plan {
	return plan{
		spec: spec, question: `SELECT event, COUNT(*) AS n, SUM(value) AS s FROM survivors GROUP BY 1 ORDER BY 1`, createTopic: createTopic,
	}
}

func TestKillAtRandomMoments(t *testing.T) {
	t.Run("topic created before", func(t *testing.T) { killRepeatedly(t, kills(20, 200), ingestPlan(true)) })
	t.Run("topic created by the producer's use", func(t *testing.T) { killRepeatedly(t, kills(5, 50), ingestPlan(false)) })
}

func kills(short, long int) int {
	if os.Getenv("DRUMLIN_TEST_LONG") != "" {
		return long
	}
	return short
}

// campaign is one process under fire, and what is known about it from outside.
type campaign struct {
	plan
	dev    *harness.Dev
	ledger *oracle.Ledger
	random *rand.Rand

	kills, rounds, checked int // rounds wanted and made, and answers checked

	mu      sync.Mutex // guards what the goroutines of a round add
	acked   []oracle.Record
	answers []*harness.Answer
}

func killRepeatedly(t *testing.T, kills int, p plan) *campaign {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DRUMLIN_TEST_SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = given
	}
	t.Logf("seed %d (set DRUMLIN_TEST_SEED to repeat its choices)", seed)
	c := &campaign{plan: p, kills: kills, dev: harness.Started(t, binary, p.args...), ledger: oracle.NewLedger(), random: rand.New(rand.NewPCG(seed, 1))}
	if p.createTopic {
		c.dev.CreateTopic(t, topic, 3)
	}
	c.dev.Apply(t, []byte(p.spec))
	if p.prepare != nil {
		p.prepare(t, c.dev)
	}
	for c.rounds < kills || !c.worked(t) {
		if c.rounds == maxIdle*kills {
			t.Fatalf("an idle campaign: %d rounds, %d answers checked, %d records written, %d tasks", c.rounds, c.checked, c.ledger.Len(), len(c.dev.Tasks(t, "")))
		}
		c.round(t)
	}
	c.dev.Handoff(t, "survivors")
	final := c.dev.SQL(t, c.question)
	if got, want := fmt.Sprint(final.Offsets(t, "survivors")), fmt.Sprint(c.ledger.Ends()); got != want {
		t.Errorf("the last cut is %s, the log ends at %s", got, want)
	}
	c.compare(t, final)
	return c
}

// maxIdle is how many times the rounds that a campaign was to have it may take until it has worked: chance and a busy machine
// may end many of them before anything has happened.
const maxIdle = 5

// worked says whether the rounds have met what they are for.
func (c *campaign) worked(t *testing.T) bool {
	t.Helper()
	return c.checked >= c.kills && c.ledger.Len() >= 100*c.kills && (c.met == nil || c.met(t, c.dev))
}

// round has the process work until it is killed at a random moment, starts it again, and checks what was answered before and is
// answered now.
func (c *campaign) round(t *testing.T) {
	t.Helper()
	c.workAndKill(t)
	took := c.dev.Start(t)
	c.learn(t)
	c.checked += c.check(t)
	c.compare(t, c.dev.SQL(t, c.question))
	t.Logf("round %d: healthy after %s, %d records known, %d answers checked", c.rounds, took.Round(time.Millisecond), c.ledger.Len(), c.checked)
	c.rounds++
}

// workAndKill produces, asks and hands off, and kills the process at a random moment.
func (c *campaign) workAndKill(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	producer, asker, hander := rand.New(rand.NewPCG(c.random.Uint64(), 2)), c.random.Uint64(), c.random.Uint64()
	if c.beside != nil {
		random := rand.New(rand.NewPCG(c.random.Uint64(), 3))
		work.Go(func() { c.beside(ctx, c.dev, random) })
	}
	work.Go(func() { c.produce(ctx, t, producer) })
	work.Go(func() { c.ask(ctx) })
	work.Go(func() { c.handOff(ctx, rand.New(rand.NewPCG(asker, hander))) })
	moment := time.NewTimer(time.Duration(c.random.Int64N(int64(roundLimit))))
	<-moment.C
	c.dev.Kill(t)
	stop()
	work.Wait()
}

func (c *campaign) produce(ctx context.Context, t *testing.T, random *rand.Rand) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.dev.Kafka), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.LeastBackupPartitioner()), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(200))
	if err != nil {
		t.Errorf("connect the producer: %v", err)
		return
	}
	defer client.Close()
	base := time.Now().Add(-3 * time.Hour).UnixMilli()
	for ctx.Err() == nil {
		when := base + random.Int64N(2*time.Hour.Milliseconds())
		key := random.IntN(20000)
		number := random.IntN(100)
		if c.equalCopies {
			number = key % 100
		}
		value := fmt.Appendf(nil, `{"messageId":"m%d","timestamp":%d,"event":"e%d","value":%d}`, key, when-when%3600000+int64(key%3600000), key%4, number)
		client.Produce(ctx, &kgo.Record{Value: value}, func(r *kgo.Record, err error) {
			if err != nil {
				return // unknown: the log tells later
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.acked = append(c.acked, harness.Acknowledged(r))
		})
		if random.IntN(20) == 0 {
			pause(ctx, time.Millisecond)
		}
	}
}

func (c *campaign) ask(ctx context.Context) {
	for ctx.Err() == nil {
		if answer, err := c.dev.Ask(ctx, c.question); err == nil && answer.Status == http.StatusOK {
			c.mu.Lock()
			c.answers = append(c.answers, answer)
			c.mu.Unlock()
		}
		pause(ctx, askEvery)
	}
}

func (c *campaign) handOff(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		pause(ctx, time.Duration(random.Int64N(int64(300*time.Millisecond))))
		// A handoff that the kill cut short fails; what it did shows in the answers.
		_, _, _ = c.dev.Post(ctx, "/druid/indexer/v1/supervisor/survivors/taskGroups/handoff", nil)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// learn reads the whole log back: it must hold every acknowledged record at its position, and it tells which of the
// unknown ones exist.
func (c *campaign) learn(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.dev.Kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += max(o.Offset, 0) })
	log := oracle.NewLedger()
	for int64(log.Len()) < want {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read the log back, %d of %d records: %v", log.Len(), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if err := log.Add(harness.Acknowledged(r)); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, r := range c.acked {
		if !log.Holds(r) {
			t.Fatalf("%s/%d offset %d was acknowledged, and the log does not have it", r.Topic, r.Partition, r.Offset)
		}
	}
	c.acked = c.acked[:0]
	if !log.Extends(c.ledger) {
		t.Fatal("the log lost or changed records that an earlier round had read from it")
	}
	c.ledger = log
}

// checksPerRound bounds the oracle's work; the answers are spread evenly over the round.
const checksPerRound = 5

func (c *campaign) check(t *testing.T) int {
	t.Helper()
	step := max(1, len(c.answers)/checksPerRound)
	n := 0
	for i := 0; i < len(c.answers); i += step {
		c.compare(t, c.answers[i])
		n++
	}
	c.answers = c.answers[:0]
	return n
}

// compare holds an answer against the oracle at the answer's own cut.
func (c *campaign) compare(t *testing.T, answer *harness.Answer) {
	t.Helper()
	want, err := c.ledger.At(answer.Offsets(t, "survivors"), rules)
	if err != nil {
		t.Fatalf("an answer at the cut %s: %v", answer.Cut, err)
	}
	type group struct{ n, s int64 }
	groups := map[string]group{}
	for _, row := range want.Rows {
		event := oracle.Text(row.Fields["event"])
		g := groups[event]
		value, err := row.Fields["value"].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		groups[event] = group{g.n + 1, g.s + value}
	}
	if len(groups) != len(answer.Rows) {
		t.Fatalf("%d groups, want %d, at the cut %s", len(answer.Rows), len(groups), answer.Cut)
	}
	for _, row := range answer.Rows {
		g := groups[row["event"].(string)]
		if fmt.Sprint(row["n"], " ", row["s"]) != fmt.Sprint(g.n, " ", g.s) {
			t.Fatalf("%v: %v rows with sum %v, want %d and %d, at the cut %s", row["event"], row["n"], row["s"], g.n, g.s, answer.Cut)
		}
	}
}
