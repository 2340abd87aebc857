package s3

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"drumlin/objectstore"
)

// sum is a SHA-256.
type sum [sha256.Size]byte

// sumParts reads the body once, checks it against its checksum and returns the checksum of each part of it.
func sumParts(ctx context.Context, body io.ReaderAt, size, partBytes int64, sha256Hex string) ([]sum, error) {
	parts := &partSums{partBytes: partBytes, hash: sha256.New()}
	if err := objectstore.CopyVerified(ctx, parts, body, size, sha256Hex); err != nil {
		return nil, err
	}
	return parts.finish(), nil
}

// partSums hashes what is written to it, part by part.
type partSums struct {
	partBytes int64
	sums      []sum
	hash      hash.Hash // of the part that is being written
	filled    int64     // bytes of it
}

func (p *partSums) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(int64(len(rest)), p.partBytes-p.filled)
		p.hash.Write(rest[:n])
		rest = rest[n:]
		if p.filled += n; p.filled == p.partBytes {
			p.cut()
		}
	}
	return len(b), nil
}

func (p *partSums) cut() {
	p.sums = append(p.sums, sum(p.hash.Sum(nil)))
	p.hash.Reset()
	p.filled = 0
}

func (p *partSums) finish() []sum {
	if p.filled > 0 {
		p.cut()
	}
	return p.sums
}

// partBytesOf is the size of the parts of an object: larger than asked for where there would be too many.
func partBytesOf(size, partBytes int64) (int64, error) {
	const unit = 1 << 20
	if least := (size + maxParts - 1) / maxParts; least > partBytes {
		partBytes = (least + unit - 1) / unit * unit
	}
	if partBytes > maxPartBytes {
		return 0, fmt.Errorf("%d bytes are more than %d parts of at most %d bytes can hold", size, maxParts, int64(maxPartBytes))
	}
	return partBytes, nil
}
