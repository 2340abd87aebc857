package generate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// defaultRatePerSecond is the mean number of events per second of event time, where Options give none.
const defaultRatePerSecond = 50

// defaultStartMillis is 2026-01-01T00:00:00Z: where events begin when Options give no start.
const defaultStartMillis = 1767225600000

// maxRatePerSecond keeps the mean distance of events, in nanoseconds, well above zero.
const maxRatePerSecond = 10_000_000

// Options say what to generate.
type Options struct {
	Events     int64   // how many records, repeats included
	Duplicates float64 // share of records that repeat an earlier one, 0 to 1
	Late       float64 // share of the other records whose event time lies hours or days back, 0 to 1
	Seed       uint64  // equal seeds give equal records
	// Start is when the first record is sent: events are up to three seconds older. Zero: 2026-01-01T00:00:00Z.
	Start time.Time
	// RatePerSecond is the mean number of records per second of event time; 0: defaultRatePerSecond.
	RatePerSecond float64
}

// Validate names every option that is out of its range.
func (o Options) Validate() error {
	var errs []error
	if o.Events < 0 {
		errs = append(errs, fmt.Errorf("events is %d: it must not be negative", o.Events))
	}
	if !(o.Duplicates >= 0 && o.Duplicates <= 1) {
		errs = append(errs, fmt.Errorf("duplicates is %v: it is a share from 0 to 1", o.Duplicates))
	}
	if !(o.Late >= 0 && o.Late <= 1) {
		errs = append(errs, fmt.Errorf("late is %v: it is a share from 0 to 1", o.Late))
	}
	if !(o.RatePerSecond >= 0 && o.RatePerSecond <= maxRatePerSecond) {
		errs = append(errs, fmt.Errorf("the rate is %v: it must lie between 0 and %d records per second of event time",
			o.RatePerSecond, maxRatePerSecond))
	}
	return errors.Join(errs...)
}

// Generator makes one sequence of records.
type Generator struct {
	left           int64
	duplicateShare uint64 // of 2^32
	lateShare      uint64 // of 2^32
	clockNanos     int64  // since startMillis
	startMillis    int64
	meanGapNanos   uint64

	flow    *rand.PCG // decides what is repeated and what is late
	pace    *rand.PCG // decides when
	content *rand.PCG // decides everything else
	made    uint64    // records that are no repeats
	repeats repeats
	world   *world
	day     dayText
}

// New returns a generator. Options that Validate refuses are brought to the nearest bound.
func New(o Options) *Generator {
	rate := o.RatePerSecond
	if !(rate > 0) {
		rate = defaultRatePerSecond
	}
	start := int64(defaultStartMillis)
	if !o.Start.IsZero() {
		start = o.Start.UnixMilli()
	}
	g := &Generator{
		left: o.Events, duplicateShare: share(o.Duplicates), lateShare: share(o.Late), startMillis: start,
		meanGapNanos: uint64(1e9 / min(rate, maxRatePerSecond)),
		flow:         rand.NewPCG(o.Seed, 1),
		pace:         rand.NewPCG(o.Seed, 2),
		content:      rand.NewPCG(o.Seed, 3),
	}
	g.world = newWorld(o.Seed, g.content)
	return g
}

// share turns a share into parts of 2^32.
func share(f float64) uint64 {
	if !(f > 0) {
		return 0
	}
	return uint64(min(f, 1) * (1 << 32))
}

// hit draws a yes or no.
func hit(rng *rand.PCG, share uint64) bool { return rng.Uint64()>>32 < share }

// below draws a number from 0 to n−1.
func below(rng *rand.PCG, n int) int {
	return int((rng.Uint64() >> 32) * uint64(n) >> 32)
}

// Next appends the next record to dst and returns it without what dst held before, with the key to produce it under (a part
// of the record) and the Kafka timestamp to give it, which never goes back. ok is false after the last record.
func (g *Generator) Next(dst []byte) (record, key []byte, timestampMillis int64, ok bool) {
	if g.left <= 0 {
		return nil, nil, 0, false
	}
	g.left--
	g.advance()
	now := g.startMillis + g.clockNanos/1e6
	duplicate, late := hit(g.flow, g.duplicateShare), hit(g.flow, g.lateShare)
	from := len(dst)
	var keyAt int
	if old := g.repeats.pick(g.flow); duplicate && old != nil {
		dst, keyAt = append(dst, old.record...), old.keyAt
		record = dst[from:len(dst):len(dst)]
	} else {
		eventMillis := now - int64(below(g.content, 3000)) // on its way for up to three seconds
		if back := g.delay(); late {
			eventMillis = now - back
		}
		dst, keyAt = g.event(dst, eventMillis)
		record = dst[from:len(dst):len(dst)]
		g.repeats.keep(g.flow, record, keyAt)
	}
	return record, record[keyAt : keyAt+uuidLen : keyAt+uuidLen], now, true
}

// hourWeight is how busy an hour of the day is, in percent of the mean.
func hourWeight(hour int64) uint64 {
	weights := [24]uint8{
		45, 35, 28, 25, 28, 38, 60, 85, 110, 128, 135, 138, 135, 138, 140, 138, 132, 130, 138, 150, 158, 145, 108, 73,
	}
	return uint64(weights[hour])
}

// advance moves the clock to the next record.
func (g *Generator) advance() {
	const hourMillis = 3_600_000
	hour := (g.startMillis + g.clockNanos/1e6) / hourMillis % 24
	if hour < 0 {
		hour += 24
	}
	// Between none and twice the mean, in steps of a thousandth.
	gap := g.meanGapNanos * uint64(below(g.pace, 2001)) / 1000
	g.clockNanos += int64(gap * 100 / hourWeight(hour))
}

// delay draws how late a late event is: from one hour to seven days, mostly hours.
func (g *Generator) delay() int64 {
	const hourMillis, longestHours = 3_600_000, 7 * 24
	hours := below(g.flow, longestHours)
	hours = hours * below(g.flow, longestHours) / longestHours * below(g.flow, longestHours) / longestHours
	return hourMillis + int64(hours)*hourMillis + int64(below(g.flow, hourMillis))
}

const (
	recentRecords = 1024 // repeats come from the latest so many
	keptRecords   = 4096 // or from so many of all
)

// repeats holds records that may be sent again: the latest, and a sample of all.
type repeats struct {
	recent []pastRecord // a ring
	kept   []pastRecord
	seen   uint64
}

type pastRecord struct {
	record []byte
	keyAt  int
}

// pick draws a record: nine times in ten a recent one. It draws equally often whether or not there is one.
func (r *repeats) pick(rng *rand.PCG) *pastRecord {
	a, b := rng.Uint64()>>32, below(rng, 1<<31)
	switch {
	case len(r.recent) == 0:
		return nil
	case a < 1<<32*9/10:
		return &r.recent[b%len(r.recent)]
	default:
		return &r.kept[b%len(r.kept)]
	}
}

// keep remembers a record that is no repeat. The sample holds each record ever seen with equal chance.
func (r *repeats) keep(rng *rand.PCG, record []byte, keyAt int) {
	if len(r.recent) < recentRecords {
		r.recent = append(r.recent, pastRecord{})
	}
	r.recent[r.seen%recentRecords].set(record, keyAt)
	r.seen++
	if draw := rng.Uint64(); len(r.kept) < keptRecords {
		r.kept = append(r.kept, pastRecord{})
		r.kept[len(r.kept)-1].set(record, keyAt)
	} else if at := draw % r.seen; at < keptRecords {
		r.kept[at].set(record, keyAt)
	}
}

func (p *pastRecord) set(record []byte, keyAt int) {
	p.record, p.keyAt = append(p.record[:0], record...), keyAt
}
