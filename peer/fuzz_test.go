package peer

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"drumlin/segment"
)

// A stream for fuzzing: each message after its length in four bytes.
func pack(messages [][]byte) []byte {
	var out []byte
	for _, m := range messages {
		out = append(binary.LittleEndian.AppendUint32(out, uint32(len(m))), m...)
	}
	return out
}

func unpack(text []byte) [][]byte {
	var out [][]byte
	for len(text) >= 4 {
		n := min(int(binary.LittleEndian.Uint32(text)), len(text)-4)
		out, text = append(out, text[4:4+n]), text[4+n:]
	}
	return out
}

// Any stream is an error, or rows that can be read.
func FuzzReceive(f *testing.F) {
	m := &maker{rand.New(rand.NewPCG(1, 1)), memory.NewGoAllocator()}
	request := segment.HotRequest{Topic: "t", Generation: 1, Partition: 3, WithRejects: true}
	for range 4 {
		h := m.hot(2, 4, 2*hourMillis)
		request.From = h.From
		f.Add(pack(record(f, requestFor(h), h).messages), h.From)
	}
	f.Fuzz(func(t *testing.T, text []byte, from int64) {
		mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
		defer mem.AssertSize(t, 0)
		r := request
		r.From = from
		h, err := play(&tape{messages: unpack(text)}, r, mem)
		if err == nil {
			touch(h)
			h.Release()
		}
	})
}

// Any header and body of a batch is an error, or rows that can be read. The checksum, which fuzzing would not get past, is left out.
func FuzzBatch(f *testing.F) {
	m := &maker{rand.New(rand.NewPCG(1, 1)), memory.NewGoAllocator()}
	layout := segment.HotArrowSchema(schemas(true, "")[1])
	for _, rows := range []int{1, 9} {
		p := &tape{}
		if err := (&sender{to: p, mem: memory.NewGoAllocator()}).batch(false, m.batch(layout, 2, 0, rows, 1000)); err != nil {
			f.Fatal(err)
		}
		p.at = 1
		sent, err := p.Recv()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sent.GetDataHeader(), sent.GetDataBody(), int64(rows))
	}
	f.Fuzz(func(t *testing.T, header, body []byte, rows int64) {
		mem := memory.NewCheckedAllocator(mallocator.NewMallocator())
		defer mem.AssertSize(t, 0)
		if got, err := copyRecord(mem, layout, header, body, rows); err == nil {
			touch(&segment.HotRows{Data: []segment.HotBatch{{Record: got}}})
			got.Release()
		} else if !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	})
}

// A ticket that is accepted says the same when it is written again.
func FuzzTicket(f *testing.F) {
	f.Add([]byte(`{"format":1,"supervisor":"s","topic":"t","partition":3,"from":5,"columns":["a"],"fromMillis":1,"toMillis":2}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := decodeTicket(text)
		if err != nil {
			return
		}
		again, err := encodeTicket(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeTicket(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}

// Whatever another process says went wrong is an error here.
func FuzzFailure(f *testing.F) {
	f.Add(`{"format":1,"cause":"hotUnavailable","status":"STALE_VIEW","revision":3,"message":"why"}`)
	f.Add(`{"format":1,"cause":"notRunning","message":"why"}`)
	f.Add(`{"format":1,"cause":"new"}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := status.New(codes.Internal, "told").WithDetails(wrapperspb.String(text))
		if err != nil {
			return
		}
		if told := fromStatus(s); told == nil {
			t.Errorf("%q is no error", text)
		}
	})
}
