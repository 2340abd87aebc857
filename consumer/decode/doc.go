// Package decode turns one Kafka record into one row, or into a reject with its reason.
//
// It owns the reading of JSON, flattening, the Kafka columns, timestamps, the dedup key, and the conversion of values to the
// types of the spec's dimensions. It never judges an event time by limits, floors or a horizon (that needs the partition's
// clock), never computes identities, and never keeps a record.
//
// Invariants:
//
//   - What Decode returns is a function of the record and the spec alone: never of earlier records, of the wall clock or of
//     the machine. What a Decoder remembers between records only makes it faster.
//   - Every record gives exactly one of a row and a reject. No input makes Decode panic.
//   - All bytes of a row are valid UTF-8. They point into the record or into the Decoder, and hold until its next Decode.
//   - A Decoder serves one goroutine; on records like earlier ones it allocates nothing.
//
// # What is accepted
//
// A record's value is one JSON object (RFC 8259) and white space around it. The whole of it is checked, also what no column
// reads. Stricter than the RFC, for what a query engine could not digest later: invalid UTF-8 anywhere, an escaped lone
// surrogate (\ud800) anywhere, and nesting deeper than 64 are rejected; so is a key that occurs twice (after unescaping) in
// the root or in another object that a path steps through with a name, since it would be a guess which one is meant. Other
// nested objects may repeat keys: their text is kept as it is. \u0000 is an ordinary character. A byte order mark, NaN,
// Infinity, comments and trailing commas are not JSON.
//
// A record without a value (a tombstone) is rejected, but with the kafka input format it is a row of its Kafka columns.
//
// # Fields
//
// Flattening gives named fields: those that the flattenSpec lists, then, with discovery, every key of the root that has no
// listed field's name. A listed field wins also where it finds nothing. The kafka format adds fields that stand back behind
// any field of the value with the same name, even one that is null: headers (of equal names the last, as in Druid), then
// timestamp, topic, partition and offset, then the record's key. A header that is read must be UTF-8. A key in JSON must be
// an object: its first field is used.
//
// # Values
//
//   - string: a string's characters; a number, true or false as written; an object or array as written, spaces included.
//   - long: a number or numeric string whose value is a whole number within 64 bits, however written (1.0, 1e3);
//     true is 1 and false is 0, as in Druid. 1.5 is not made smaller: it is rejected.
//   - double, float: a number or numeric string, rounded once to the nearest; also the strings NaN, Infinity, +Infinity
//     and -Infinity, as in Druid. Beyond the type's range is rejected, too small becomes zero. Booleans are rejected.
//   - json: the value's JSON text as written; the text of a Kafka column as a JSON string.
//
// A missing value, null, and for numbers the empty string are null. Numeric strings are decimal, without spaces.
//
// The dedup key is the field's value as a string dimension would hold it; missing, null and empty mean no key.
//
// # Transforms
//
// A transformSpec (docs/expressions.md) works on the fields: a column that has a transform's name takes its value, the one named
// __time replaces the row's time, and the filter marks a row as Filtered. The dedup key is the field's in any case. Columns are the
// spec's dimensions, then what its metrics alone read, where it has rollup.
//
// # Timestamps
//
// Format auto reads a number, or a string of digits, as milliseconds, and other strings as ISO 8601; iso reads every string
// as ISO 8601; posix, millis, micro, nano and ruby read numbers and numeric strings; anything else is a Joda pattern.
// Fractions below a millisecond are cut off towards the past, those above are kept (posix 1.5 is 1500 ms, where Druid drops
// them). ISO 8601: calendar, ordinal and week dates, reduced precision, T, t or a space before the time, fractions of any
// length, offsets, Z or z, and no zone meaning UTC. A two-digit year yy of a pattern lies in 1970 to 2069. Named time zones
// other than UTC, GMT and Z are refused. Years are those of the proleptic Gregorian calendar; a time that does not fit in
// 64 bits of milliseconds is rejected.
package decode
