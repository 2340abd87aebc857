package spec

import (
	"math/rand/v2"
	"testing"
	"time"
)

func millisOf(t *testing.T, s string) int64 {
	t.Helper()
	millis, err := parseInstant(s)
	if err != nil {
		t.Fatal(err)
	}
	return millis
}

func allGranularities(t *testing.T) []Granularity {
	t.Helper()
	all := []Granularity{{}}
	for _, g := range granularities {
		parsed, err := ParseGranularity(g.period)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parsed)
	}
	return all
}

// TestDivides holds Divides to its meaning: no chunk of the finer one straddles an end of a chunk of the coarser one.
func TestDivides(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, fine := range allGranularities(t) {
		for _, coarse := range allGranularities(t) {
			straddles := false
			for range 500 {
				start, end := coarse.Chunk(rng.Int64N(200*365*dayMillis) - 50*365*dayMillis)
				fineStart, _ := fine.Chunk(start)
				nextStart, _ := fine.Chunk(end)
				straddles = straddles || fineStart != start || nextStart != end
			}
			if fine.Divides(coarse) == straddles {
				t.Errorf("%s divides %s: %t", fine, coarse, fine.Divides(coarse))
			}
		}
	}
}

func TestQueryGranularityNames(t *testing.T) {
	for _, g := range allGranularities(t) {
		again, err := ParseQueryGranularity(g.String())
		if err != nil || again != g || g.IsZero() != (g.String() == "none") {
			t.Errorf("%s is read as %s: %v", g, again, err)
		}
	}
	if _, err := ParseGranularity("none"); err == nil {
		t.Error("none is no time chunk of a segment")
	}
	if start, end := (Granularity{}).Chunk(-7); start != -7 || end != -6 {
		t.Errorf("none cuts [%d, %d)", start, end)
	}
}

func TestPeriodsOfTheCalendar(t *testing.T) {
	for _, c := range []struct{ at, period, before, after string }{
		{"2026-03-31T12:00:00Z", "P1M", "2026-02-28T12:00:00Z", "2026-04-30T12:00:00Z"},
		{"2024-02-29", "P1Y", "2023-02-28", "2025-02-28"},
		{"2026-01-15", "P2M", "2025-11-15", "2026-03-15"},
		{"2026-03-01", "P1M1DT1H", "2026-01-30T23:00:00Z", "2026-04-02T01:00:00Z"},
		{"2026-03-01", "PT0S", "2026-03-01", "2026-03-01"},
		{"2026-03-01", "P1W", "2026-02-22", "2026-03-08"},
	} {
		p, err := ParseCalendarPeriod(c.period)
		if err != nil {
			t.Fatal(err)
		}
		at := millisOf(t, c.at)
		if got := p.Before(at); got != millisOf(t, c.before) {
			t.Errorf("%s before %s is %s", c.period, c.at, FormatInstant(got))
		}
		if got := p.After(at); got != millisOf(t, c.after) {
			t.Errorf("%s after %s is %s", c.period, c.at, FormatInstant(got))
		}
	}
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).UnixMilli()
	for _, endless := range []string{"P2147483647D", "P99999999999999999999D", "P99999999999999999999Y", "P9999999Y"} {
		p, err := ParseCalendarPeriod(endless)
		if err != nil || p.Before(now) > 0 || p.After(now) < now {
			t.Errorf("%s: %v, %d", endless, err, p.Before(now))
		}
	}
}

func TestPeriodsAreWrittenAsTheyAreRead(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		p := Period{Months: rng.IntN(maxPeriodMonths + 1), Millis: rng.Int64N(endlessMillis + 1)}
		switch rng.IntN(4) {
		case 0:
			p.Millis = p.Millis / dayMillis * dayMillis
		case 1:
			p.Months, p.Millis = 0, p.Millis%dayMillis
		case 2:
			p.Millis %= 3000
		}
		if again, err := ParseCalendarPeriod(p.String()); err != nil || again != p {
			t.Fatalf("%+v is written %s and read %+v: %v", p, p, again, err)
		}
	}
}

func TestParseInterval(t *testing.T) {
	for in, want := range map[string]string{
		"2015-09-12T00:00:00.000/2015-09-13T00:00:00.000": "2015-09-12T00:00:00.000Z/2015-09-13T00:00:00.000Z",
		"2015-09-12/2015-09-13":                           "2015-09-12T00:00:00.000Z/2015-09-13T00:00:00.000Z",
		"2015-09-12T02:00+02:00/PT1H":                     "2015-09-12T00:00:00.000Z/2015-09-12T01:00:00.000Z",
		"2020/P1Y":                                        "2020-01-01T00:00:00.000Z/2021-01-01T00:00:00.000Z",
		"P1M/2020-03-31":                                  "2020-02-29T00:00:00.000Z/2020-03-31T00:00:00.000Z",
		"1442016000000/1442102400000":                     "2015-09-12T00:00:00.000Z/2015-09-13T00:00:00.000Z",
		"0000/9999":                                       "0000-01-01T00:00:00.000Z/9999-01-01T00:00:00.000Z",
		"2020/2020":                                       "refused",
		"2021/2020":                                       "refused",
		"2020":                                            "refused",
		"2020/2021/2022":                                  "refused",
		"P1D/P1D":                                         "refused",
		"P1D/x":                                           "refused",
		"x/P1D":                                           "refused",
		"2020/P2147483647D":                               "refused",
		"P2147483647D/2020":                               "refused",
		"9223372036854775807/P2147483647D":                "refused",
		"2020/PT0S":                                       "refused",
		"":                                                "refused",
	} {
		got := "refused"
		if i, err := ParseInterval(in); err == nil {
			got = i.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestIntervalsOverlapAndContain(t *testing.T) {
	a := Interval{10, 20}
	for b, want := range map[Interval][2]bool{
		{0, 10}: {false, false}, {20, 30}: {false, false}, {9, 11}: {true, false}, {10, 20}: {true, true}, {12, 13}: {true, true},
		{0, 30}: {true, false},
	} {
		if got := [2]bool{a.Overlaps(b), a.Contains(b)}; got != want {
			t.Errorf("%v: %v", b, got)
		}
	}
}
