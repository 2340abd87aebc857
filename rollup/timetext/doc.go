// Package timetext reads and writes instants as text: ISO 8601, and patterns of Joda's DateTimeFormat. It owns the calendar
// that timestampSpec and expressions share. It knows no time zone but UTC and fixed offsets, whose meaning never changes.
//
// Invariants:
//   - a text means the same instant for ever: there is no pivot year that moves with the present, and no clock;
//   - calendars are proleptic Gregorian; instants are Unix milliseconds, cut off towards the past;
//   - no text makes it panic; what does not fit in 64 bits of milliseconds is not read.
package timetext
