package decode

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"drumlin/rollup/timetext"
	"drumlin/spec"
)

func TestTimestamps(t *testing.T) {
	const when = 1442018818000 // 2015-09-12T00:46:58Z
	for _, test := range []struct {
		format, value string
		want          int64
		bad           bool
	}{
		{format: "auto", value: `1442018818771`, want: when + 771},
		{format: "auto", value: `"1442018818771"`, want: when + 771},
		{format: "auto", value: `1442018818771.9`, want: when + 771},
		{format: "auto", value: `1.442018818771e12`, want: when + 771},
		{format: "auto", value: `-1`, want: -1},
		{format: "auto", value: `"-1"`, want: -1},
		{format: "auto", value: `-0.5`, want: -1},
		{format: "auto", value: `"2015"`, want: 2015},
		{format: "auto", value: `9223372036854775807`, want: math.MaxInt64},
		{format: "auto", value: `-9223372036854775808`, want: math.MinInt64},
		{format: "auto", value: `9223372036854775808`, bad: true},
		{format: "auto", value: `1e400`, bad: true},
		{format: "auto", value: `"1.5"`, bad: true},
		{format: "", value: `"2015-09-12T00:46:58.771Z"`, want: when + 771},
		{format: "auto", value: `"2015-09-12T00:46:58Z"`, want: when},
		{format: "auto", value: `"2015-09-12T00:46:58"`, want: when},
		{format: "auto", value: `"2015-09-12 00:46:58"`, want: when},
		{format: "auto", value: `"2015-09-12t00:46:58z"`, want: when},
		{format: "auto", value: `"2015-09-12T00:46:58.7z"`, want: when + 700},
		{format: "auto", value: `"2015-09-12T00:46:58,7712"`, want: when + 771},
		{format: "auto", value: `"2015-09-12T00:46:58.771999999999999999999Z"`, want: when + 771},
		{format: "auto", value: `"2015-09-12T02:46:58+02:00"`, want: when},
		{format: "auto", value: `"2015-09-12T02:46:58+0200"`, want: when},
		{format: "auto", value: `"2015-09-12T02:46:58+02"`, want: when},
		{format: "auto", value: `"2015-09-11T19:16:58-05:30"`, want: when},
		{format: "auto", value: `"2015-09-12 00:46:58 UTC"`, want: when},
		{format: "auto", value: `"2015-09-12 02:46:58 +02:00"`, want: when},
		{format: "auto", value: `"  \"2015-09-12T00:46:58Z\" "`, want: when},
		{format: "auto", value: `"2015-09-12"`, want: 1442016000000},
		{format: "auto", value: `"2015-9-2"`, want: 1441152000000},
		{format: "auto", value: `"2015-09"`, want: 1441065600000},
		{format: "iso", value: `"2015"`, want: 1420070400000},
		{format: "iso", value: `2015`, want: 1420070400000},
		{format: "iso", value: `"2015-255"`, want: 1442016000000},
		{format: "iso", value: `"2015-W37-6"`, want: 1442016000000},
		{format: "iso", value: `"2015-W37"`, want: 1441584000000},
		{format: "iso", value: `"2020-W53-7"`, want: 1609632000000},
		{format: "iso", value: `"2015-09-12T12"`, want: 1442059200000},
		{format: "iso", value: `"2015-09-12T12.5"`, want: 1442061000000},
		{format: "iso", value: `"2015-09-12T12:30.5"`, want: 1442061030000},
		{format: "iso", value: `"1969-12-31T23:59:59.9999Z"`, want: -1},
		{format: "iso", value: `"0001-01-01T00:00:00Z"`, want: -62135596800000},
		{format: "iso", value: `"0000-02-29"`, want: -62162121600000},
		{format: "iso", value: `"-0001-01-01"`, want: -62198755200000},
		{format: "iso", value: `"+12345-01-01"`, want: 327403382400000},
		{format: "iso", value: `"+292278990-01-01"`, want: 9223371890899200000},
		{format: "iso", value: `"+292278999-01-01"`, bad: true},
		{format: "iso", value: `"+999999999-01-01"`, bad: true},
		{format: "iso", value: `"-999999999-01-01"`, bad: true},
		{format: "iso", value: `"292277026596-12-04T15:30:08Z"`, bad: true},
		{format: "iso", value: `"20150912"`, bad: true},
		{format: "iso", value: `1442018818771`, bad: true},
		{format: "iso", value: `""`, bad: true},
		{format: "iso", value: `"2015-13-01"`, bad: true},
		{format: "iso", value: `"2015-02-29"`, bad: true},
		{format: "iso", value: `"2015-02-29T00:00:00Z"`, bad: true},
		{format: "iso", value: `"2100-02-29T00:00:00.000Z"`, bad: true},
		{format: "iso", value: `"2000-02-29T00:00:00.000Z"`, want: 951782400000},
		{format: "iso", value: `"2015-09-31T00:00:00Z"`, bad: true},
		{format: "iso", value: `"2015-00-01"`, bad: true},
		{format: "iso", value: `"2015-366"`, bad: true},
		{format: "iso", value: `"2015-W54"`, bad: true},
		{format: "iso", value: `"2015-W00"`, bad: true},
		{format: "iso", value: `"2015-09-12T24:00:00Z"`, bad: true},
		{format: "iso", value: `"2015-09-12T00:60:00Z"`, bad: true},
		{format: "iso", value: `"2016-12-31T23:59:60Z"`, bad: true},
		{format: "iso", value: `"2015-09-12T00:46:58.Z"`, bad: true},
		{format: "iso", value: `"2015-09-12T"`, bad: true},
		{format: "iso", value: `"2015-09-12Z"`, bad: true},
		{format: "iso", value: `"2015-09-12T00:46:58 "`, want: when},
		{format: "iso", value: `"2015-09-12T00:46:58X"`, bad: true},
		{format: "iso", value: `"2015-09-12T00:46:58 America/Los_Angeles"`, bad: true},
		{format: "iso", value: `"2015-09-12T00:46:58+24:00"`, bad: true},
		{format: "posix", value: `1442018818`, want: when},
		{format: "posix", value: `"1442018818"`, want: when},
		{format: "posix", value: `1442018818.7719`, want: when + 771},
		{format: "posix", value: `-0.0001`, want: -1},
		{format: "posix", value: `9223372036854776`, bad: true},
		{format: "posix", value: `"2015-09-12"`, bad: true},
		{format: "ruby", value: `1442018818.771`, want: when + 771},
		{format: "ruby", value: `"1442018818.771"`, want: when + 771},
		{format: "millis", value: `"1442018818771"`, want: when + 771},
		{format: "micro", value: `1442018818771999`, want: when + 771},
		{format: "micro", value: `-1`, want: -1},
		{format: "nano", value: `1442018818771999999`, want: when + 771},
		{format: "nano", value: `-1000000`, want: -1},
		{format: "yyyy-MM-dd HH:mm:ss", value: `"2015-09-12 00:46:58"`, want: when},
		{format: "yyyy-MM-dd HH:mm:ss", value: `"2015-9-12 0:46:58"`, want: when},
		{format: "yyyy-MM-dd HH:mm:ss", value: `"2015-09-12T00:46:58"`, bad: true},
		{format: "yyyy-MM-dd HH:mm:ss", value: `"2015-09-12 00:46:58Z"`, bad: true},
		{format: "yyyyMMddHHmmss", value: `"20150912004658"`, want: when},
		{format: "yyyyMMddHHmmss", value: `20150912004658`, want: when},
		{format: "yyyy-MM-dd'T'HH:mm:ss.SSSZ", value: `"2015-09-12T02:46:58.771+0200"`, want: when + 771},
		{format: "yyyy-MM-dd'T'HH:mm:ss.SSSZZ", value: `"2015-09-12T02:46:58.771+02:00"`, want: when + 771},
		{format: "yyyy-MM-dd'T'HH:mm:ss.SSSZ", value: `"2015-09-12T00:46:58.771Z"`, want: when + 771},
		{format: "dd/MMM/yyyy:HH:mm:ss Z", value: `"12/Sep/2015:00:46:58 +0000"`, want: when},
		{format: "EEE, d MMMM yyyy hh:mm:ss a z", value: `"Sat, 12 september 2015 12:46:58 AM GMT"`, want: when},
		{format: "M/d/yy h:mm:ss a", value: `"9/12/15 12:46:58 AM"`, want: when},
		{format: "M/d/yy", value: `"1/1/70"`, want: 0},
		{format: "M/d/yy", value: `"1/1/69"`, want: 3124224000000},
		{format: "yyyy-DDD", value: `"2015-255"`, want: 1442016000000},
		{format: "yyyy-DDD", value: `"2015-366"`, bad: true},
		{format: "xxxx-'W'ww-e", value: `"2015-W37-6"`, want: 1442016000000},
		{format: "xxxx-'W'ww-e", value: `"2015-W53-1"`, want: 1451260800000},
		{format: "xxxx-'W'ww-e", value: `"2014-W53-1"`, bad: true},
		{format: "HH:mm", value: `"01:00"`, want: 3600000},
		{format: "MM-dd", value: `"02-29"`, want: 951782400000},
		{format: "yyyy-MM-dd", value: `"2015-02-30"`, bad: true},
		{format: "yyyy 'o''clock' ''HH", value: `"2015 o'clock '05"`, want: 1420088400000},
		{format: "kk KK a yyyy", value: `"24 11 pm 1970"`, want: 82800000},
	} {
		s := testSpec()
		s.DataSchema.Timestamp.Format = test.format
		row, reject := decodeText(mustNew(t, s), `{"t":`+test.value+`}`)
		switch {
		case test.bad:
			if reject == nil || reject.Reason != ReasonBadTimestamp {
				t.Errorf("%s %s: got %+v %+v, want a reject", test.format, test.value, row, reject)
			}
		case reject != nil:
			t.Errorf("%s %s: %s", test.format, test.value, reject.Message)
		case row.TimeMillis != test.want:
			t.Errorf("%s %s: got %d, want %d", test.format, test.value, row.TimeMillis, test.want)
		}
	}
}

func TestTimestampFormatsRefused(t *testing.T) {
	for _, format := range []string{"ISO", "yyyy-MM-ddTHH", "yyyy 'open", "G", "--"} {
		s := testSpec()
		s.DataSchema.Timestamp.Format = format
		if _, err := New(s); err == nil {
			t.Errorf("format %q was accepted", format)
		}
	}
}

// FuzzTimestamp feeds any text to every format: it must never panic, and the paths of ISO 8601 must agree.
func FuzzTimestamp(f *testing.F) {
	for _, text := range []string{
		"2015-09-12T00:46:58.771Z", "2015-W37-6", "1442018818771", "1e-300", "+292278994-08-17T07:12:55.807Z", "2015-09-12 0:1:2 UTC",
		"12/Sep/2015:00:46:58 +0000", "-5", `"1970"`,
	} {
		f.Add(text)
	}
	var readers []timestampReader
	for _, format := range []string{
		"auto", "iso", "posix", "millis", "micro", "nano", "ruby", "yyyy-MM-dd'T'HH:mm:ss.SSSZ", "dd/MMM/yyyy:HH:mm:ss Z",
		"EEEE MMMM d yy K a", "xxxxww e D kk z", "yyyyMMddHHmmss",
	} {
		r, err := newTimestampReader(&spec.TimestampSpec{Format: format})
		if err != nil {
			f.Fatal(err)
		}
		readers = append(readers, r)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range readers {
			r.text([]byte(text))
			r.number([]byte(text))
		}
		fast, ok := timetext.ParseISOFast([]byte(text))
		if slow, same := timetext.ParseISO([]byte(text)); ok && (!same || slow != fast) {
			t.Errorf("%q: fast %d, slow %d %v", text, fast, slow, same)
		}
		if want, err := time.Parse(time.RFC3339Nano, text); err == nil && !strings.Contains(text, ",") {
			if got, ok := timetext.ParseISO([]byte(text)); !ok || got != want.UnixMilli() {
				t.Errorf("%q: got %d %v, want %d", text, got, ok, want.UnixMilli())
			}
		}
		if want, err := strconv.ParseInt(text, 10, 64); err == nil {
			if got, ok := parseLong([]byte(text)); !ok || got != want {
				t.Errorf("%q: got %d %v", text, got, ok)
			}
		}
	})
}
