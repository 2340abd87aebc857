// Package ndjson reads records that stand one on a line: from a file, from standard input, compressed with gzip or not.
//
// It owns the cutting into lines and their numbers. It never looks into a line: what is no JSON is passed on as it is, since
// bad records are for the pipeline to reject and to keep. Lines end with \n or \r\n, the last one with either or nothing;
// lines of spaces and tabs alone are skipped and counted. A byte order mark at the beginning of the input is dropped. One
// line is held in memory at a time. Input that breaks off within gzip is an error, never a shorter file.
package ndjson
