package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"drumlin/segment"
)

// Prefixes of keys; docs/format/catalog.md has the table.
const (
	keyFormat         = "format"
	keyIncarnation    = "incarnation"
	prefixNode        = "node/"
	prefixOwn         = "own/"
	prefixOffset      = "offset/"
	prefixCommit      = "commit/"
	prefixHead        = "head/"
	prefixFloor       = "floor/"
	prefixPin         = "pin/"
	prefixClaim       = "claim/"
	prefixDatasource  = "datasource/"
	prefixSchema      = "schema/"
	prefixSpec        = "spec/"
	prefixTask        = "task/"
	prefixAutoCompact = string(SettingAutoCompaction) + "/"
	prefixRules       = string(SettingRules) + "/"
	prefixTaskClaim   = prefixClaim + "task/"
	hexDigits         = "0123456789ABCDEF"
	maxNameBytes      = 256
	maxEscapedKeyPart = 3 * maxNameBytes
)

// escapePart makes a name fit for one part of a key or of an object's path: bytes other than ASCII letters, digits,
// "_", "-", "~" and "." become %XX, and so does a leading ".", so that "." and ".." cannot appear.
func escapePart(name string) string {
	plain := true
	for i := range len(name) {
		if !plainByte(name, i) {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if plainByte(name, i) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

func plainByte(s string, i int) bool {
	c := s[i]
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '~':
		return true
	default:
		return c == '.' && i > 0
	}
}

// unescapePart reads what escapePart wrote, and nothing else: each name has one spelling.
func unescapePart(part string) (string, error) {
	if part == "" || len(part) > maxEscapedKeyPart {
		return "", fmt.Errorf("key part %q: empty or too long", part)
	}
	if !strings.Contains(part, "%") {
		if escapePart(part) != part {
			return "", fmt.Errorf("key part %q is not escaped", part)
		}
		return part, nil
	}
	out := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		if part[i] != '%' {
			out = append(out, part[i])
			continue
		}
		if i+2 >= len(part) {
			return "", fmt.Errorf("key part %q ends inside an escape", part)
		}
		hi, lo := strings.IndexByte(hexDigits, part[i+1]), strings.IndexByte(hexDigits, part[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("key part %q has a broken escape", part)
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	if escapePart(string(out)) != part {
		return "", fmt.Errorf("key part %q is not spelled as it is written", part)
	}
	return string(out), nil
}

func nodeKey(id string) string { return prefixNode + escapePart(id) }

func (k PartitionKey) path() string {
	return escapePart(k.Supervisor) + "/" + escapePart(k.Topic) + "/" + strconv.Itoa(int(k.Partition))
}

func ownKey(k PartitionKey) string { return prefixOwn + k.path() }

func offsetKey(k PartitionKey) string { return prefixOffset + k.path() }

// commitKey is the key of the commit of this supervisor that begins where the range does.
func commitKey(supervisor string, r segment.OffsetRange) string {
	k := PartitionKey{Supervisor: supervisor, Topic: r.Topic, Partition: r.Partition}
	return fmt.Sprintf("%s%s/%d/%020d", prefixCommit, k.path(), r.Generation, r.From)
}

func headKey(datasource string, bucketStart int64) string {
	return fmt.Sprintf("%s%s/%020d", prefixHead, escapePart(datasource), bucketStart)
}

func floorKey(datasource string) string { return prefixFloor + escapePart(datasource) }

func datasourceKey(name string) string { return prefixDatasource + escapePart(name) }

func schemaKey(datasource string, id int32) string {
	return fmt.Sprintf("%s%s/%010d", prefixSchema, escapePart(datasource), id)
}

func specKey(supervisor string) string { return prefixSpec + escapePart(supervisor) }

func specVersionKey(supervisor string, version int64) string {
	return fmt.Sprintf("%s%s/%020d", prefixSpec, escapePart(supervisor), version)
}

func pinKey(id string) string { return prefixPin + escapePart(id) }

// bucketClaim is the claim on one bucket.
func bucketClaim(datasource string, bucketStart int64) string {
	return fmt.Sprintf("%sbucket/%s/%020d", prefixClaim, escapePart(datasource), bucketStart)
}

// taskClaim is the claim on one task.
func taskClaim(id string) string { return prefixTaskClaim + escapePart(id) }

func isTaskClaim(key string) bool { return strings.HasPrefix(key, prefixTaskClaim) }

func taskKey(id string) string { return prefixTask + escapePart(id) }

func settingKey(kind SettingKind, datasource string) string {
	return string(kind) + "/" + escapePart(datasource)
}

func settingVersionKey(kind SettingKind, datasource string, version int64) string {
	return fmt.Sprintf("%s/%020d", settingKey(kind, datasource), version)
}

// splitKey cuts the part of key after prefix into exactly n unescaped parts.
func splitKey(key, prefix string, n int) ([]string, error) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return nil, corruptf("key %q does not begin with %q", key, prefix)
	}
	parts := strings.Split(rest, "/")
	if len(parts) != n {
		return nil, corruptf("key %q has %d parts, want %d", key, len(parts), n)
	}
	for i, p := range parts {
		name, err := unescapePart(p)
		if err != nil {
			return nil, corruptf("key %q: %v", key, err)
		}
		parts[i] = name
	}
	return parts, nil
}

// parsePartitionKey reads own/… and offset/….
func parsePartitionKey(key, prefix string) (PartitionKey, error) {
	parts, err := splitKey(key, prefix, 3)
	if err != nil {
		return PartitionKey{}, err
	}
	p, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil || p < 0 || strconv.FormatInt(p, 10) != parts[2] {
		return PartitionKey{}, corruptf("key %q: bad partition", key)
	}
	return PartitionKey{Supervisor: parts[0], Topic: parts[1], Partition: int32(p)}, nil
}

// parseHeadKey reads head/….
func parseHeadKey(key string) (datasource string, bucketStart int64, err error) {
	parts, err := splitKey(key, prefixHead, 2)
	if err != nil {
		return "", 0, err
	}
	start, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || headKey(parts[0], start) != key {
		return "", 0, corruptf("key %q: bad bucket", key)
	}
	return parts[0], start, nil
}

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}
