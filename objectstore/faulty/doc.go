// Package faulty wraps an object store with faults that a test describes as text, one rule a line:
//
//	ACTION VERB [key~REGEXP] [nth=N] [times=N] [bytes=N] [delay=DURATION] [last=N]
//
// VERB is put, get, head, list, delete or any. A rule fires from the nth matching call on (counted from 1; default 1), as
// often as times says (default 1; 0: always). The actions:
//
//	fail       nothing happens, and the call fails with ErrInjected
//	unknown    nothing happens, and the call fails with objectstore.ErrUnknown (put, delete)
//	lose-reply the call takes effect, and fails with objectstore.ErrUnknown (put, delete)
//	truncate   the reader of a get ends, without an error, after the given bytes
//	flip       the reader of a get has the lowest bit of the byte at the given place (bytes=N) flipped
//	slow       the call waits for the delay, or for its context's end
//	stale      a list leaves out the objects that the last N puts made
//
// Lines that are empty or begin with # say nothing. Where several rules fire at one call they do so in their order.
package faulty
