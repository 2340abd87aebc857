package segment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	return fmt.Sprintf("%s/table=%s/%s/%s-e%d-%s-%s.parquet", n.Kind, escape(n.Datasource, maxTableNameBytes),
		bucketPath(n.Bucket), plainName(n.Incarnation), n.Epoch, source, n.Random)
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
