package catalog

import (
	"context"
	"fmt"
)

// SupervisorVersion reads one numbered version of a supervisor, whatever the newest is: offsets record the version by
// which the records behind them are judged. Versions never change.
func (c *Catalog) SupervisorVersion(ctx context.Context, id string, version int64) (Supervisor, error) {
	kv, err := c.get(ctx, specVersionKey(id, version))
	if err != nil {
		return Supervisor{}, fmt.Errorf("read version %d of supervisor %q: %w", version, id, err)
	}
	if kv == nil {
		return Supervisor{}, corruptf("version %d of supervisor %q is not there", version, id)
	}
	var s Supervisor
	return s, decode(kv.Key, kv.Value, &s)
}
