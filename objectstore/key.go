package objectstore

import (
	"fmt"
	"strings"
)

// Limits of keys: those of S3 for the whole, of file systems for a part.
const (
	maxKeyBytes     = 1024
	maxKeyPartBytes = 255
)

// ValidateKey says what is wrong with a key. No part may begin with a dot: those names are the stores' own.
func ValidateKey(key string) error {
	if key == "" || len(key) > maxKeyBytes {
		return fmt.Errorf("object key of %d bytes: it must have 1 to %d", len(key), maxKeyBytes)
	}
	if err := validateCharacters(key); err != nil {
		return err
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "":
			return fmt.Errorf("object key %q has an empty part", key)
		case part[0] == '.':
			return fmt.Errorf("object key %q has a part that begins with a dot", key)
		case len(part) > maxKeyPartBytes:
			return fmt.Errorf("object key %q has a part of %d bytes: at most %d", key, len(part), maxKeyPartBytes)
		}
	}
	return nil
}

// ValidatePrefix says what is wrong with the prefix of a List: it is the beginning of a valid key, or empty.
func ValidatePrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return ValidateKey(strings.TrimSuffix(prefix, "/"))
}

func validateCharacters(key string) error {
	for i := range len(key) {
		if c := key[i]; c < 0x20 || c > 0x7e || c == '\\' {
			return fmt.Errorf("object key %q: byte %d is not printable ASCII or is a backslash", key, i)
		}
	}
	return nil
}

// ValidateRange says what is wrong with the range of a Get of an object of the given size, and returns the number of
// bytes that it covers: a length past the end is cut, −1 reaches to the end, an offset past the end is an error.
func ValidateRange(key string, size, offset, length int64) (int64, error) {
	if offset < 0 || offset > size || length < -1 {
		return 0, fmt.Errorf("get %q: %d bytes from %d: the object has %d bytes", key, length, offset, size)
	}
	if length == -1 || length > size-offset {
		return size - offset, nil
	}
	return length, nil
}
