package rollup

import (
	"encoding/binary"
	"slices"
)

// bins counts values by the index of their bin: sorted counts, and indexes that wait to be sorted in.
type bins struct {
	sorted  []bin
	waiting []int32
}

type bin struct {
	index int32
	count uint64 // never 0
}

// maxWaiting bounds the wait: sorting in costs the same for one index as for many.
const maxWaiting = 128

func (b *bins) empty() bool { return len(b.sorted) == 0 && len(b.waiting) == 0 }

func (b *bins) add(index int32) {
	if b.waiting = append(b.waiting, index); len(b.waiting) >= maxWaiting {
		b.settle()
	}
}

// settle sorts in what waits.
func (b *bins) settle() {
	if len(b.waiting) == 0 {
		return
	}
	slices.Sort(b.waiting)
	fresh := 0 // indexes without a bin yet
	at := 0
	for i, index := range b.waiting {
		if i > 0 && index == b.waiting[i-1] {
			continue
		}
		for at < len(b.sorted) && b.sorted[at].index < index {
			at++
		}
		if at == len(b.sorted) || b.sorted[at].index != index {
			fresh++
		}
	}
	// Merge from the end, in place.
	read := len(b.sorted) - 1
	b.sorted = slices.Grow(b.sorted, fresh)[:len(b.sorted)+fresh]
	write := len(b.sorted) - 1
	for i := len(b.waiting) - 1; i >= 0; {
		index := b.waiting[i]
		var count uint64
		for ; i >= 0 && b.waiting[i] == index; i-- {
			count++
		}
		for ; read >= 0 && b.sorted[read].index > index; read-- {
			b.sorted[write] = b.sorted[read]
			write--
		}
		if read >= 0 && b.sorted[read].index == index {
			count += b.sorted[read].count
			read--
		}
		b.sorted[write] = bin{index, count}
		write--
	}
	b.waiting = b.waiting[:0]
}

func (b *bins) total() uint64 {
	total := uint64(len(b.waiting))
	for _, bin := range b.sorted {
		total += bin.count
	}
	return total
}

// atRank gives the index of the value with that many smaller ones. The rank is below the total.
func (b *bins) atRank(rank uint64) int32 {
	b.settle()
	for _, bin := range b.sorted {
		if rank < bin.count {
			return bin.index
		}
		rank -= bin.count
	}
	return b.sorted[len(b.sorted)-1].index
}

// merge adds the counts of o, which keeps them.
func (b *bins) merge(o *bins) {
	b.settle()
	o.settle()
	if len(b.sorted) == 0 {
		b.sorted = append(b.sorted, o.sorted...)
		return
	}
	if len(o.sorted) == 0 {
		return
	}
	out := make([]bin, 0, max(len(b.sorted), len(o.sorted)))
	i, k := 0, 0
	for i < len(b.sorted) || k < len(o.sorted) {
		switch {
		case k == len(o.sorted) || i < len(b.sorted) && b.sorted[i].index < o.sorted[k].index:
			out = append(out, b.sorted[i])
			i++
		case i == len(b.sorted) || o.sorted[k].index < b.sorted[i].index:
			out = append(out, o.sorted[k])
			k++
		default:
			out = append(out, bin{b.sorted[i].index, b.sorted[i].count + o.sorted[k].count})
			i++
			k++
		}
	}
	b.sorted = out
}

// encode appends the number of bins, the first index (zigzag), then the steps between indexes less one; after each index
// its count less one. All are varints.
func (b *bins) encode(dst []byte) []byte {
	b.settle()
	dst = binary.AppendUvarint(dst, uint64(len(b.sorted)))
	for i, bin := range b.sorted {
		if i == 0 {
			dst = binary.AppendVarint(dst, int64(bin.index))
		} else {
			dst = binary.AppendUvarint(dst, uint64(bin.index-b.sorted[i-1].index-1))
		}
		dst = binary.AppendUvarint(dst, bin.count-1)
	}
	return dst
}

func (b *bins) decode(r *reader) {
	n := r.uvarint()
	if n > uint64(len(r.left))/2 { // a bin takes two bytes or more
		r.bad = true
		return
	}
	b.sorted = make([]bin, 0, n)
	var index int64
	for i := range n {
		if i == 0 {
			index = r.varint()
		} else {
			step := r.uvarint()
			if step > 2*maxBinIndex {
				r.bad = true
			}
			index += int64(step) + 1
		}
		count := r.uvarint() + 1
		if r.bad = r.bad || index < -maxBinIndex || index > maxBinIndex || count == 0; r.bad {
			return
		}
		b.sorted = append(b.sorted, bin{int32(index), count})
	}
}

// reader takes varints off bytes from outside. Once something is wrong it stays bad and gives zeroes.
type reader struct {
	left []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.left)
	if r.bad = r.bad || n <= 0 || n > 1 && r.left[n-1] == 0; r.bad { // the last byte of a longer varint is not 0
		return 0
	}
	r.left = r.left[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}
