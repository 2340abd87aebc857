package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drumlin/segment"
)

// MaxSwapBuckets is how many buckets one claim or swap may cover: its compares must fit into one transaction.
const MaxSwapBuckets = 100

// Claim is the right to swap some buckets, or to run a task. All its keys were created in one transaction under one
// lease, and go together; their create_revision is the epoch.
type Claim struct {
	Keys  []string
	Node  string
	Epoch int64
}

// ClaimBuckets claims all the buckets or none; ErrOwned if one of them is claimed already.
func (s *Session) ClaimBuckets(ctx context.Context, datasource string, buckets []segment.Bucket) (Claim, error) {
	if len(buckets) == 0 || len(buckets) > MaxSwapBuckets {
		return Claim{}, invalidf("claim %d buckets of %s: one claim takes 1 to %d", len(buckets), datasource, MaxSwapBuckets)
	}
	keys := make([]string, len(buckets))
	for i, b := range buckets {
		keys[i] = bucketClaim(datasource, b.StartMillis)
	}
	epoch, err := s.hold(ctx, keys)
	if err != nil {
		return Claim{}, fmt.Errorf("claim buckets of %s: %w", datasource, err)
	}
	return Claim{Keys: keys, Node: s.node.ID, Epoch: epoch}, nil
}

// ClaimTask claims a task by its id; ErrOwned if it is claimed already.
func (s *Session) ClaimTask(ctx context.Context, id string) (Claim, error) {
	keys := []string{taskClaim(id)}
	epoch, err := s.hold(ctx, keys)
	if err != nil {
		return Claim{}, fmt.Errorf("claim task %s: %w", id, err)
	}
	return Claim{Keys: keys, Node: s.node.ID, Epoch: epoch}, nil
}

// Unclaim gives the claim up. Giving up what is not held any more succeeds.
func (s *Session) Unclaim(ctx context.Context, claim Claim) error {
	return s.c.letGo(ctx, claim.Keys, claim.Epoch)
}

// PutPin keeps what the revision shows from being collected, until the pin is moved or removed. A pin with a session
// goes with it; with a nil session it stays.
func (c *Catalog) PutPin(ctx context.Context, s *Session, id string, p Pin) error {
	value, err := encode(p)
	if err != nil {
		return err
	}
	op := opPut(pinKey(id), value)
	if s != nil {
		op.Lease = s.lease
	}
	return c.blindly(ctx, "put pin "+id, op)
}

// RemovePin removes the pin; removing what is not there succeeds.
func (c *Catalog) RemovePin(ctx context.Context, id string) error {
	return c.blindly(ctx, "remove pin "+id, opDelete(pinKey(id)))
}

// blindly runs an operation that may be repeated and compares nothing but the format.
func (c *Catalog) blindly(ctx context.Context, what string, op Op) error {
	for attempt := 1; ; attempt++ {
		format, err := c.writable()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		res, _, err := c.settle(ctx, Txn{If: []Compare{format}, Then: []Op{op}, Else: opGets(keyFormat)})
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if res.Succeeded {
			return nil
		}
		if err := formatChanged(res); attempt == settleAttempts || errors.Is(err, ErrFormat) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := sleep(ctx, time.Duration(attempt)*firstBackoff); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}
