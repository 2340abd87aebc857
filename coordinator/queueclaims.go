package coordinator

import (
	"context"
	"fmt"
	"sync"

	"drumlin/catalog"
	"drumlin/segment"
)

// bucketClaims keeps the tasks of one process apart: to the catalog all of them are one session, which may take again what
// it holds. It is safe for concurrent use.
type bucketClaims struct {
	session *catalog.Session
	mu      sync.Mutex
	held    map[bucketName]struct{}
	byClaim map[int64][]bucketName // by the claim's epoch
	stuck   []catalog.Claim        // given up, but the catalog could not be told yet
}

type bucketName struct {
	datasource  string
	startMillis int64
}

func newBucketClaims(session *catalog.Session) *bucketClaims {
	return &bucketClaims{session: session, held: map[bucketName]struct{}{}, byClaim: map[int64][]bucketName{}}
}

// ClaimBuckets claims all the buckets or none; catalog.ErrOwned if another task has claimed one of them, here or elsewhere.
func (b *bucketClaims) ClaimBuckets(ctx context.Context, datasource string, buckets []segment.Bucket) (catalog.Claim, error) {
	b.letGo(ctx)
	names := make([]bucketName, len(buckets))
	for i, bucket := range buckets {
		names[i] = bucketName{datasource, bucket.StartMillis}
	}
	if err := b.reserve(names); err != nil {
		return catalog.Claim{}, err
	}
	claim, err := b.session.ClaimBuckets(ctx, datasource, buckets)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.freeLocked(names)
		return catalog.Claim{}, err
	}
	b.byClaim[claim.Epoch] = names
	return claim, nil
}

func (b *bucketClaims) reserve(names []bucketName) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range names {
		if _, ok := b.held[n]; ok {
			return fmt.Errorf("claim buckets of %s: %w: another task of this process has claimed bucket %d", n.datasource,
				catalog.ErrOwned, n.startMillis)
		}
	}
	for _, n := range names {
		b.held[n] = struct{}{}
	}
	return nil
}

func (b *bucketClaims) freeLocked(names []bucketName) {
	for _, n := range names {
		delete(b.held, n)
	}
}

// Unclaim gives a claim up. Where the catalog cannot be told, the buckets stay claimed until it can be: another task of this
// process must not take over a claim that is about to go.
func (b *bucketClaims) Unclaim(ctx context.Context, claim catalog.Claim) error {
	err := b.session.Unclaim(ctx, claim)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.stuck = append(b.stuck, claim)
		return err
	}
	b.freeLocked(b.byClaim[claim.Epoch])
	delete(b.byClaim, claim.Epoch)
	return nil
}

// letGo tries again to give up what could not be given up. What fails again is kept for the next time, and the caller sees
// the buckets as claimed.
func (b *bucketClaims) letGo(ctx context.Context) {
	b.mu.Lock()
	stuck := b.stuck
	b.stuck = nil
	b.mu.Unlock()
	for _, claim := range stuck {
		_ = b.Unclaim(ctx, claim)
	}
}
