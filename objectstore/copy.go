package objectstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

const copyBytes = 256 << 10

// CopyVerified writes the size bytes of body to out, and fails where there are fewer or where their SHA-256 (lower-case
// hex) is another. It looks at ctx between pieces.
func CopyVerified(ctx context.Context, out io.Writer, body io.ReaderAt, size int64, sha256Hex string) error {
	hash := sha256.New()
	piece := make([]byte, min(size, copyBytes))
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := body.ReadAt(piece[:min(size-at, copyBytes)], at)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read the body at %d of %d bytes: %w", at, size, err)
		}
		hash.Write(piece[:n])
		if _, err := out.Write(piece[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sha256Hex {
		return fmt.Errorf("the body's SHA-256 is %s, not %q as was said", got, sha256Hex)
	}
	return nil
}
