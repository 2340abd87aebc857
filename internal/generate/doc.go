// Package generate makes events like those that product analytics libraries send, for trying things out, for tests and
// for measurements.
//
// Events have messageId, type (track mostly; page, identify, screen, group, alias), event, userId, anonymousId, timestamp,
// properties and context; their sizes, nesting and skew resemble real traffic: few users, events and pages make most of
// it, visits last for several events, and the hours of a day differ. A share of the records repeats an earlier one byte by
// byte, as clients that retry do: mostly a recent one, sometimes one of long ago. A share carries event times of hours or
// days before, as phones that were offline do.
//
// Invariants: equal options give equal bytes, on every machine (integers only, apart from sums and quotients that IEEE 754
// fixes). What is repeated does not depend on the start or the rate, so two runs that differ only in those have the same
// messageIds. Memory is bounded whatever the number of events. A Generator serves one goroutine and reads no clock.
package generate
