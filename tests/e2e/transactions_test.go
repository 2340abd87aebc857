package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"drumlin/tests/harness"
)

// TestTransactionsCountOnlyWhatWasCommitted mixes committed and aborted transactions, handoffs and kills.
func TestTransactionsCountOnlyWhatWasCommitted(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	d := harness.Started(t, binary)
	d.CreateTopic(t, "tx", 2)
	d.Apply(t, specFor("tx", "topic: tx", "hour"))
	now := time.Now().UnixMilli()
	next, count, sum := 0, int64(0), int64(0)
	check := func() {
		t.Helper()
		d.WaitSQL(t, `SELECT COUNT(*) AS n FROM tx`, count, settle)
		d.WaitSQL(t, `SELECT COALESCE(SUM(value), 0) AS n FROM tx`, sum, settle)
	}
	for round := range 2 {
		client := d.Client(t, kgo.TransactionalID(fmt.Sprint("producer-", round)))
		for range 10 {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			records := numbered("tx", 2, next, next+1+random.IntN(50), always(now))
			harness.Produce(t, client, records...)
			commit := random.IntN(10) >= 3
			if err := client.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
				t.Fatal(err)
			}
			for range records {
				if commit {
					count, sum = count+1, sum+int64(next)
				}
				next++
			}
			if random.IntN(4) == 0 {
				d.Handoff(t, "tx")
				check()
			}
		}
		d.Kill(t)
		d.Start(t)
		check()
	}
	client := d.Client(t, kgo.TransactionalID("hung"))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	harness.Produce(t, client, numbered("tx", 2, next, next+100, always(now))...)
	harness.Produce(t, d.Client(t), numbered("tx", 2, next+100, next+150, always(now))...)
	d.Handoff(t, "tx") // reaches to the open transaction, and does not wait for it
	check()
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	for i := next; i < next+150; i++ {
		count, sum = count+1, sum+int64(i)
	}
	check()
	d.Handoff(t, "tx")
	check()
}
