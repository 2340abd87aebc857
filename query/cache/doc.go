// Package cache keeps verified copies of immutable segments on local disk for DuckDB to read.
//
// It never serves a byte that it has not compared with the segment's size and SHA-256 since this process began: DuckDB
// does not check Parquet pages, so a flipped bit would become a wrong answer. Files are named by their checksum, made
// read-only, and appear whole or not at all. A file is never removed while somebody holds a pin on it; beyond that the
// least recently used go first. What the directory holds after a restart is kept but verified again at first use.
//
// It never writes to the object store, and decides nothing about which segments are live.
package cache
