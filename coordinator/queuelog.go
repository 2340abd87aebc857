package coordinator

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
)

// How much of one attempt's log is kept: its beginning, and its end.
const (
	maxLogHeadBytes = 128 << 10
	maxLogTailBytes = 384 << 10
)

// taskLog keeps the beginning and the end of one attempt's log, by whole lines. It is safe for concurrent use.
type taskLog struct {
	mu        sync.Mutex
	head      []byte
	tail      [][]byte
	tailBytes int
	cutLines  int // lines between head and tail that are gone
	cutBytes  int64
}

// Write takes one line.
func (l *taskLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tail == nil && len(l.head)+len(line) <= maxLogHeadBytes {
		l.head = append(l.head, line...)
		return len(line), nil
	}
	l.tail = append(l.tail, bytes.Clone(line))
	l.tailBytes += len(line)
	drop := 0
	for ; l.tailBytes > maxLogTailBytes && drop < len(l.tail); drop++ {
		l.tailBytes -= len(l.tail[drop])
		l.cutLines++
		l.cutBytes += int64(len(l.tail[drop]))
		l.tail[drop] = nil
	}
	l.tail = l.tail[drop:] // never nil again: the head is complete
	return len(line), nil
}

// Bytes is the log so far.
func (l *taskLog) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := bytes.Clone(l.head)
	if l.cutLines > 0 {
		out = fmt.Appendf(out, "… %d lines (%d bytes) are left out here …\n", l.cutLines, l.cutBytes)
	}
	for _, line := range l.tail {
		out = append(out, line...)
	}
	return out
}

// logger writes one line of text per record into the log.
func (l *taskLog) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// fromOffset cuts a log as Druid does: a positive offset counts bytes from the beginning, a negative one from the end.
func fromOffset(text []byte, offset int64) []byte {
	n := int64(len(text))
	switch {
	case offset >= n:
		return nil
	case offset >= 0:
		return text[offset:]
	case -offset >= n || offset < -n:
		return text
	}
	return text[n+offset:]
}
