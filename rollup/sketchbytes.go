package rollup

// Bytes is what the sketch takes in memory beside itself.
func (q *Quantiles) Bytes() int64 { return q.memory() }
