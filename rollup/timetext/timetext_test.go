package timetext

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestISOAgreesWithTime compares random instants in many shapes with the standard library.
func TestISOAgreesWithTime(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	layouts := []string{
		time.RFC3339, time.RFC3339Nano, "2006-01-02T15:04:05.000Z07:00", "2006-01-02 15:04:05.000000", "2006-01-02T15:04:05-0700",
		"2006-01-02", "2006-01-02T15:04", "2006-002T15:04:05Z07:00", "2006-01",
	}
	for range 20_000 {
		at := time.Unix(rng.Int64N(253402300800+62167219200)-62167219200, rng.Int64N(1e9))
		zone := time.FixedZone("", (rng.IntN(47*60)-23*60)*60)
		layout := layouts[rng.IntN(len(layouts))]
		text := at.In(zone).Format(layout)
		want, err := time.Parse(layout, text)
		if err != nil || len(text) < 7 || text[0] == '-' || len(strings.SplitN(text, "-", 2)[0]) != 4 {
			continue
		}
		if got, ok := ParseISO([]byte(text)); !ok || got != want.UnixMilli() {
			t.Fatalf("seed %d: %s: got %d %v, want %d", seed, text, got, ok, want.UnixMilli())
		}
		if got, ok := ParseISOFast([]byte(text)); ok && got != want.UnixMilli() {
			t.Fatalf("seed %d: %s: the fast path got %d, want %d", seed, text, got, want.UnixMilli())
		}
	}
}

func TestCivilDaysAgreesWithTime(t *testing.T) {
	for day := int64(-1_000_000); day < 4_000_000; day += 7 {
		at := time.Unix(day*86400, 0).UTC()
		if got := civilDays(int64(at.Year()), int(at.Month()), at.Day()); got != day {
			t.Fatalf("%s: got day %d, want %d", at, got, day)
		}
		year, week := at.ISOWeek()
		weekday := int64(at.Weekday()+6) % 7
		if got := weekYearStart(int64(year)) + int64(week-1)*7 + weekday; got != day {
			t.Fatalf("%s: got day %d by its week, want %d", at, got, day)
		}
	}
}

// TestPartsAgreeWithTime compares the parts of random instants, and what patterns write, with the standard library.
func TestPartsAgreeWithTime(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	pattern, err := ParsePattern("yyyy-MM-dd'T'HH:mm:ss.SSS EEE MMMM DDD h a")
	if err != nil {
		t.Fatal(err)
	}
	for range 20_000 {
		millis := rng.Int64N(253402300800000+62135596800000) - 62135596800000
		at := time.UnixMilli(millis).UTC()
		year, week := at.ISOWeek()
		for unit, want := range map[string]int64{
			"EPOCH": at.Unix(), "MILLISECOND": int64(at.Nanosecond() / 1e6), "SECOND": int64(at.Second()),
			"MINUTE": int64(at.Minute()), "HOUR": int64(at.Hour()), "DAY": int64(at.Day()), "DOW": int64(at.Weekday()+6)%7 + 1,
			"DOY": int64(at.YearDay()), "WEEK": int64(week), "ISOYEAR": int64(year), "MONTH": int64(at.Month()),
			"QUARTER": int64(at.Month()+2) / 3, "YEAR": int64(at.Year()),
		} {
			if got, ok := Extract(millis, unit); !ok || got != want {
				t.Fatalf("seed %d: %s of %s: got %d, want %d", seed, unit, at, got, want)
			}
		}
		if got, want := string(AppendISO(nil, millis)), at.Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Fatalf("seed %d: got %s, want %s", seed, got, want)
		}
		want := at.Format("2006-01-02T15:04:05.000 Mon January 002 3 PM")
		if got := string(pattern.Append(nil, millis)); got != want {
			t.Fatalf("seed %d: got %s, want %s", seed, got, want)
		}
	}
}

func TestAddMonths(t *testing.T) {
	at := func(text string) int64 {
		millis, ok := ParseISO([]byte(text))
		if !ok {
			t.Fatal(text)
		}
		return millis
	}
	for _, test := range []struct {
		from   string
		months int64
		want   string
	}{
		{"2024-01-31T12:00:00Z", 1, "2024-02-29T12:00:00Z"},
		{"2023-01-31", 1, "2023-02-28"},
		{"2024-02-29", 12, "2025-02-28"},
		{"2024-02-29", -12, "2023-02-28"},
		{"1970-01-01", -1, "1969-12-01"},
		{"2000-12-31T23:59:59.999Z", 2, "2001-02-28T23:59:59.999Z"},
	} {
		if got, ok := AddMonths(at(test.from), test.months); !ok || got != at(test.want) {
			t.Errorf("%s and %d months: got %s", test.from, test.months, AppendISO(nil, got))
		}
	}
	if _, ok := AddMonths(0, math.MaxInt64); ok {
		t.Error("too many months were accepted")
	}
}

// FuzzPattern reads and writes by any pattern: nothing may panic, and what was written in full must read back.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{"yyyy-MM-dd'T'HH:mm:ss.SSSZ", "EEE dd/MMM/yy K a", "xxxx-'W'ww-e", "yyyyMMdd", "SSSSSS", "'"} {
		f.Add(p, "2015-09-12T00:46:58.771+0000", int64(1442018818771))
	}
	f.Fuzz(func(t *testing.T, pattern, text string, millis int64) {
		p, err := ParsePattern(pattern)
		if err != nil || len(pattern) > 200 {
			return
		}
		p.Parse([]byte(text))
		p.Append(nil, millis)
		for _, unit := range Units() {
			Extract(millis, unit)
		}
		AddMonths(millis, millis)
		iso := AppendISO(nil, millis)
		if got, ok := ParseISO(iso); millis > -62135596800000 && millis < 253402300800000 && (!ok || got != millis) {
			t.Errorf("%d was written as %s and read as %d", millis, iso, got)
		}
	})
}
