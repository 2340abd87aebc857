package ndjson

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLineBytes is the length of the longest line that is read, without its end.
const maxLineBytes = 64 << 20

const bufferBytes = 256 << 10

// errLineTooLong is within the error of Next for a line longer than maxLineBytes.
var errLineTooLong = errors.New("the line is too long")

// Reader gives the lines of one input. It is for one goroutine.
type Reader struct {
	name   string
	limit  int      // bytes of a line without its end
	file   *os.File // nil: not ours to close
	lines  *bufio.Reader
	long   []byte // a line that does not fit in the buffer of lines
	number int64
	blank  int64
	err    error // what every further Next returns
}

// Open opens the file at path, or standard input, which the caller passes, for "-". Gzip is recognised by its first bytes.
// The caller closes the Reader.
func Open(path string, stdin io.Reader) (*Reader, error) {
	if path == "-" {
		return newReader("standard input", stdin, nil, maxLineBytes)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	r, err := newReader(path, f, f, maxLineBytes)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func newReader(name string, source io.Reader, file *os.File, limit int) (*Reader, error) {
	r := &Reader{name: name, limit: limit, file: file, lines: bufio.NewReaderSize(source, bufferBytes)}
	head, err := r.lines.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read records from %s: %w", name, err)
	}
	if bytes.Equal(head, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(r.lines)
		if err != nil {
			return nil, fmt.Errorf("read records from %s, which begins like gzip: %w", name, err)
		}
		r.lines = bufio.NewReaderSize(unzipped, bufferBytes)
	}
	if mark, err := r.lines.Peek(3); err == nil && string(mark) == "\ufeff" {
		if _, err := r.lines.Discard(len(mark)); err != nil {
			return nil, fmt.Errorf("read records from %s: %w", name, err)
		}
	}
	return r, nil
}

// Next returns the next line that is not blank, without its end, and its number from 1 on. The line holds until the next
// call. The error is io.EOF after the last line; any other names the input and the line, and is final.
func (r *Reader) Next() (line []byte, number int64, err error) {
	for r.err == nil {
		line, r.err = r.read()
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			r.err = fmt.Errorf("read records from %s, line %d: %w", r.name, r.number+1, r.err)
			break
		}
		if len(line) == 0 && r.err != nil {
			break
		}
		r.number++
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > r.limit {
			r.err = fmt.Errorf("read records from %s, line %d: %w", r.name, r.number, r.tooLong())
			break
		}
		if len(bytes.Trim(line, " \t\r")) > 0 {
			return line, r.number, nil
		}
		r.blank++
	}
	return nil, 0, r.err
}

// read returns the rest of the input up to a line's end, or all of it with io.EOF.
func (r *Reader) read() ([]byte, error) {
	part, err := r.lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return part, err
	}
	r.long = append(r.long[:0], part...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(r.long) > r.limit+len("\r\n") {
			return nil, r.tooLong()
		}
		part, err = r.lines.ReadSlice('\n')
		r.long = append(r.long, part...)
	}
	return r.long, err
}

func (r *Reader) tooLong() error {
	return fmt.Errorf("%w: more than %d bytes", errLineTooLong, r.limit)
}

// Blank is how many blank lines Next has skipped.
func (r *Reader) Blank() int64 { return r.blank }

// Close closes the file, where Open has opened one.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
