package compaction

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"drumlin/segment"
)

// idEntry is one row's identity with where the row lies, or an identity of a sidecar.
type idEntry struct {
	hi, lo, offset     int64
	source, input, row uint32
}

const (
	// sidecarInput stands for the input of an identity that has no row.
	sidecarInput = ^uint32(0)
	idEntryBytes = 36 // on disk
	idEntrySize  = 40 // in memory
	// idFanIn is how many runs of identities are merged at a time; idSidecarFanIn is how many sidecars, each of which
	// keeps a row group in memory.
	idFanIn        = 64
	idSidecarFanIn = 8
	idBufferBytes  = 64 << 10
)

func compareIDs(a, b idEntry) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) }

// idStream gives entries in ascending order of identity.
type idStream interface {
	next(ctx context.Context) (idEntry, bool, error)
	close()
}

// idSorter sorts entries by identity, outside memory beyond its limit. It is used by one goroutine, and ends with close.
type idSorter struct {
	x       *execution
	entries []idEntry
	limit   int // entries in memory
	held    int64
	runs    []*idRun
	total   int64
}

func newIDSorter(x *execution, maxBytes int64) *idSorter {
	return &idSorter{x: x, limit: int(max(maxBytes/idEntrySize, 1024))}
}

func (s *idSorter) add(ctx context.Context, e idEntry) error {
	if len(s.entries) == cap(s.entries) {
		if len(s.entries) >= s.limit {
			if err := s.spill(ctx); err != nil {
				return err
			}
		} else {
			s.grow()
		}
	}
	s.entries = append(s.entries, e)
	s.total++
	return nil
}

// grow doubles the room up to the limit.
func (s *idSorter) grow() {
	room := min(max(2*cap(s.entries), 1024), s.limit)
	s.x.mem.hold(int64(room) * idEntrySize)
	s.entries = append(make([]idEntry, 0, room), s.entries...)
	s.x.mem.letGo(s.held)
	s.held = int64(room) * idEntrySize
}

// spill writes the entries in memory as a sorted run.
func (s *idSorter) spill(ctx context.Context) error {
	slices.SortFunc(s.entries, compareIDs)
	run, err := s.x.writeIDRun(ctx, &idList{entries: s.entries})
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run)
	s.entries = s.entries[:0]
	return s.compact(ctx)
}

// compact keeps the number of runs, and with it of open files, below the fan-in.
func (s *idSorter) compact(ctx context.Context) error {
	if len(s.runs) < idFanIn {
		return nil
	}
	streams := make([]idStream, len(s.runs))
	for i, r := range s.runs {
		streams[i] = r.reader(true)
	}
	run, err := s.x.writeIDRun(ctx, newIDMerge(streams))
	s.runs = nil
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run)
	return nil
}

// merged gives all entries and the sidecars' identities. The sorter takes no more entries.
func (s *idSorter) merged(ctx context.Context, sidecars []*input) (idStream, error) {
	slices.SortFunc(s.entries, compareIDs)
	var streams []idStream
	fail := func(err error) (idStream, error) {
		for _, stream := range streams {
			stream.close()
		}
		return nil, err
	}
	for len(sidecars) > idSidecarFanIn {
		run, err := s.x.joinSidecars(ctx, sidecars[:idSidecarFanIn])
		if err != nil {
			return fail(err)
		}
		s.runs = append(s.runs, run)
		if err := s.compact(ctx); err != nil {
			return fail(err)
		}
		sidecars = sidecars[idSidecarFanIn:]
	}
	for _, in := range sidecars {
		stream, err := s.x.openSidecar(in)
		if err != nil {
			return fail(err)
		}
		streams = append(streams, stream)
	}
	for _, r := range s.runs {
		streams = append(streams, r.reader(false))
	}
	return newIDMerge(append(streams, &idList{entries: s.entries})), nil
}

func (s *idSorter) close() {
	for _, r := range s.runs {
		r.close()
	}
	s.runs, s.entries = nil, nil
	s.x.mem.letGo(s.held)
	s.held = 0
}

// idList is entries in memory, sorted.
type idList struct{ entries []idEntry }

func (l *idList) next(context.Context) (idEntry, bool, error) {
	if len(l.entries) == 0 {
		return idEntry{}, false, nil
	}
	e := l.entries[0]
	l.entries = l.entries[1:]
	return e, true, nil
}

func (*idList) close() {}

// idMerge merges sorted streams by a heap of their next entries.
type idMerge struct {
	heap    []idHead
	streams []idStream
	started bool
}

type idHead struct {
	entry  idEntry
	stream idStream
}

func newIDMerge(streams []idStream) *idMerge { return &idMerge{streams: streams} }

func (m *idMerge) next(ctx context.Context) (idEntry, bool, error) {
	if !m.started {
		m.started = true
		for _, s := range m.streams {
			e, ok, err := s.next(ctx)
			if err != nil {
				return idEntry{}, false, err
			}
			if ok {
				m.heap = append(m.heap, idHead{e, s})
			}
		}
		for i := len(m.heap)/2 - 1; i >= 0; i-- {
			m.down(i)
		}
	}
	if len(m.heap) == 0 {
		return idEntry{}, false, nil
	}
	top := m.heap[0].entry
	e, ok, err := m.heap[0].stream.next(ctx)
	switch {
	case err != nil:
		return idEntry{}, false, err
	case ok && compareIDs(e, top) < 0:
		return idEntry{}, false, errors.New("identities out of order")
	case ok:
		m.heap[0].entry = e
	default:
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	m.down(0)
	return top, true, nil
}

func (m *idMerge) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heap); child++ {
			if compareIDs(m.heap[child].entry, m.heap[least].entry) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}

func (m *idMerge) close() {
	for _, s := range m.streams {
		s.close()
	}
}

// idRun is sorted entries in a file without a name.
type idRun struct {
	file  *os.File
	bytes int64
}

func (r *idRun) close() {
	_ = r.file.Close() // it was only read since it was written
}

// writeIDRun writes and closes the stream.
func (x *execution) writeIDRun(ctx context.Context, from idStream) (run *idRun, err error) {
	defer from.close()
	f, err := segment.TempFile(x.e.o.TempDir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			run, err = nil, errors.Join(err, f.Close())
		}
	}()
	out := bufio.NewWriterSize(f, idBufferBytes)
	var b [idEntryBytes]byte
	run = &idRun{file: f}
	for n := 0; ; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e, ok, err := from.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		e.encode(&b)
		if _, err := out.Write(b[:]); err != nil {
			return nil, fmt.Errorf("spill identities: %w", err)
		}
		run.bytes += idEntryBytes
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("spill identities: %w", err)
	}
	x.stats.SpillFiles++
	x.stats.SpilledBytes += run.bytes
	return run, nil
}

func (e *idEntry) encode(b *[idEntryBytes]byte) {
	binary.LittleEndian.PutUint64(b[0:], uint64(e.hi))
	binary.LittleEndian.PutUint64(b[8:], uint64(e.lo))
	binary.LittleEndian.PutUint64(b[16:], uint64(e.offset))
	binary.LittleEndian.PutUint32(b[24:], e.source)
	binary.LittleEndian.PutUint32(b[28:], e.input)
	binary.LittleEndian.PutUint32(b[32:], e.row)
}

func decodeIDEntry(b *[idEntryBytes]byte) idEntry {
	return idEntry{
		hi: int64(binary.LittleEndian.Uint64(b[0:])), lo: int64(binary.LittleEndian.Uint64(b[8:])),
		offset: int64(binary.LittleEndian.Uint64(b[16:])), source: binary.LittleEndian.Uint32(b[24:]),
		input: binary.LittleEndian.Uint32(b[28:]), row: binary.LittleEndian.Uint32(b[32:]),
	}
}

// reader reads the run from its beginning; owned readers close it.
func (r *idRun) reader(owned bool) idStream {
	return &idRunReader{run: r, owned: owned, in: bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.bytes), idBufferBytes)}
}

type idRunReader struct {
	run   *idRun
	owned bool
	in    *bufio.Reader
}

func (r *idRunReader) next(context.Context) (idEntry, bool, error) {
	var b [idEntryBytes]byte
	switch _, err := io.ReadFull(r.in, b[:]); {
	case errors.Is(err, io.EOF):
		return idEntry{}, false, nil
	case err != nil:
		return idEntry{}, false, fmt.Errorf("read spilled identities: %w", err)
	}
	return decodeIDEntry(&b), true, nil
}

func (r *idRunReader) close() {
	if r.owned {
		r.run.close()
	}
}
