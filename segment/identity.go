package segment

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/dchest/siphash"
)

// Keys up to these lengths are hashed without allocating; longer ones take one allocation.
const (
	shortKeyBytes = 120
	longKeyBytes  = 1016
)

// Identity returns the 128 bits that stand for a dedup key within one bucket: SipHash-2-4-128 under the datasource's
// hash key, over the bucket's start (Unix milliseconds, 8 bytes little-endian) followed by the key. The hash's first
// word is hi, its second lo. Hashing the bucket too keeps the identities of hours apart once they are folded into a day.
func Identity(hashKey [16]byte, bucketStartMillis int64, key []byte) (hi, lo uint64) {
	if len(key) > shortKeyBytes {
		return longIdentity(hashKey, bucketStartMillis, key)
	}
	var buf [8 + shortKeyBytes]byte
	return identity(hashKey, bucketStartMillis, key, buf[:])
}

func longIdentity(hashKey [16]byte, bucketStartMillis int64, key []byte) (hi, lo uint64) {
	if len(key) > longKeyBytes {
		return identity(hashKey, bucketStartMillis, key, make([]byte, 8+len(key)))
	}
	var buf [8 + longKeyBytes]byte
	return identity(hashKey, bucketStartMillis, key, buf[:])
}

// identity uses buf, of at least 8+len(key) bytes, as scratch.
func identity(hashKey [16]byte, bucketStartMillis int64, key, buf []byte) (hi, lo uint64) {
	binary.LittleEndian.PutUint64(buf, uint64(bucketStartMillis))
	n := 8 + copy(buf[8:], key)
	k0 := binary.LittleEndian.Uint64(hashKey[:8])
	k1 := binary.LittleEndian.Uint64(hashKey[8:])
	return siphash.Hash128(k0, k1, buf[:n])
}

// ParseHashKey reads a datasource's hash key: 32 hex digits.
func ParseHashKey(text string) ([16]byte, error) {
	var key [16]byte
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(key) {
		return key, fmt.Errorf("hash key has %d characters: it must be 32 hex digits", len(text))
	}
	copy(key[:], raw)
	return key, nil
}
