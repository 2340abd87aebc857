package segment

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// VerifyingReader passes bytes through and, at their end, compares size and SHA-256 with what they should be. A reader
// that has seen io.EOF from it has seen exactly the object; any other end is an error.
type VerifyingReader struct {
	name   string
	in     io.Reader
	hash   hash.Hash
	left   int64 // bytes still to come
	bytes  int64
	sha256 string
	err    error
}

// NewVerifyingReader expects exactly the given bytes and SHA-256 (lower-case hex). The name stands in errors.
func NewVerifyingReader(name string, in io.Reader, bytes int64, sha256Hex string) *VerifyingReader {
	return &VerifyingReader{name: name, in: in, hash: sha256.New(), left: bytes, bytes: bytes, sha256: sha256Hex}
}

// Read is io.Reader's; it fails with ErrCorrupt where size or checksum differ, and keeps failing.
func (v *VerifyingReader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.in.Read(p)
	v.hash.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left < 0:
		v.err = corrupt(v.name, "longer than its %d bytes", v.bytes)
		return 0, v.err
	case errors.Is(err, io.EOF):
		v.err = v.atEnd()
		return n, v.err
	case err != nil:
		v.err = err
	}
	return n, err
}

func (v *VerifyingReader) atEnd() error {
	if v.left > 0 {
		return corrupt(v.name, "%d of %d bytes are missing", v.left, v.bytes)
	}
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.sha256 {
		return corrupt(v.name, "its SHA-256 is %s and should be %s", got, v.sha256)
	}
	return io.EOF
}
