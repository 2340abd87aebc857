// Package rows sorts rows that lie in many record batches, and gathers chosen ones into new columns, without moving
// any before it is copied once.
//
// A row is pointed at by a number: the batch's index in the upper 32 bits, the row in the lower ones, so that such numbers
// ascend as the rows stand. Batches are borrowed: nothing here keeps or releases them.
package rows

// Ref is how a row is pointed at, under any name.
type Ref interface{ ~uint64 }

// Make points at a row of a batch.
func Make[R Ref](batch, row int) R { return R(batch)<<32 | R(uint32(row)) }

// Split is the batch and the row that a reference points at.
func Split[R Ref](r R) (batch, row int) { return int(r >> 32), int(uint32(r)) }
