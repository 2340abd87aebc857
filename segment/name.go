package segment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ObjectName is what the key of a segment's object says. It is never trusted for what the rows are: the position and
// the datasource stand in the Meta; the epoch is what garbage collection judges by.
type ObjectName struct {
	Kind        Kind
	Datasource  string
	Bucket      Bucket
	Incarnation string
	Epoch       int64 // exactly the one that the transaction naming the object compares
	Source      OffsetRange
	Compacted   bool   // made by a compaction: the name says so in the place of Source
	Random      string // hex digits that make the name unique for ever
}

const (
	maxTopicNameBytes = 80  // of the topic in an object's name
	maxTableNameBytes = 180 // of the datasource in a path
)

// Key returns the object's key: the kind, the datasource and the bucket as a Hive path whose depth follows the bucket's
// length (years, months, days, hours, minutes or seconds; UTC; zero-padded), then the name.
func (n ObjectName) Key() string {
	source := "compacted"
	if !n.Compacted {
		source = fmt.Sprintf("%s-%d-%d-%d", escape(n.Source.Topic, maxTopicNameBytes), n.Source.Partition, n.Source.From, n.Source.To)
	}
	return fmt.Sprintf("%s%s/%s-e%d-%s-%s.parquet", TablePrefix(n.Kind, n.Datasource), bucketPath(n.Bucket), plainName(n.Incarnation),
		n.Epoch, source, n.Random)
}

// TablePrefix is what the keys of all objects of a kind begin with that belong to a datasource.
func TablePrefix(kind Kind, datasource string) string {
	return fmt.Sprintf("%s/table=%s/", kind, escape(datasource, maxTableNameBytes))
}

// BucketStart is when the bucket begins that an object's key tells; ok is false for keys that Key does not make.
func BucketStart(key string) (millis int64, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) < 4 {
		return 0, false
	}
	levels := parts[2 : len(parts)-1] // between the table and the name
	at := [7]int{0, 1, 1}             // year, month, day, hour, minute, second, millisecond
	for i, name := range []string{"y", "m", "d", "h", "min", "s", "ms"} {
		if i == len(levels) {
			break
		}
		key, digits, found := strings.Cut(levels[i], "=")
		value, err := strconv.Atoi(digits)
		if !found || key != name || err != nil {
			return 0, false
		}
		at[i] = value
	}
	t := time.Date(at[0], time.Month(at[1]), at[2], at[3], at[4], at[5], at[6]*int(time.Millisecond), time.UTC)
	return t.UnixMilli(), true
}

func bucketPath(b Bucket) string {
	const second, minute, hour, day = 1000, 60_000, 3_600_000, 86_400_000
	t := time.UnixMilli(b.StartMillis).UTC()
	path := fmt.Sprintf("y=%04d", t.Year())
	length := b.EndMillis - b.StartMillis
	for _, level := range []struct {
		belowMillis int64
		name        string
		value       int
	}{
		{365 * day, "m", int(t.Month())},
		{28 * day, "d", t.Day()},
		{day, "h", t.Hour()},
		{hour, "min", t.Minute()},
		{minute, "s", t.Second()},
		{second, "ms", t.Nanosecond() / 1_000_000},
	} {
		if length >= level.belowMillis {
			break
		}
		path += fmt.Sprintf("/%s=%02d", level.name, level.value)
	}
	return path
}

// escape keeps letters, digits, dot, dash and underscore, and writes every other byte as %XX, as Hive paths do. What is
// longer than limit is cut and ends with a tilde and a checksum of the whole.
func escape(s string, limit int) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	out := b.String()
	if len(out) <= limit {
		return out
	}
	sum := sha256.Sum256([]byte(s))
	return out[:limit-17] + "~" + hex.EncodeToString(sum[:8])
}

// plainName keeps letters and digits, so that the incarnation ends where the name's first dash stands.
func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
