package duckdb

/*
#cgo CFLAGS: -O2 -std=gnu11 -Wall -Werror
#include "scan.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/cgo"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// Options are the limits of a database. They hold for all sessions together and cannot be changed after Open.
type Options struct {
	MemoryLimitBytes int64    // what DuckDB's buffer manager may hold; the process may use half as much again. 0: DuckDB's default
	Threads          int      // 0: one per processor
	TempDir          string   // where queries spill; made, and made again, where it is not there. Empty: they do not
	MaxTempBytes     int64    // disk that spilling may take; 0: DuckDB's default
	MaxResultBytes   int64    // what the results of all sessions may hold beside that; 0: half of MemoryLimitBytes
	AllowedDirs      []string // absolute directories whose files SQL may read; everything else is closed
	// KeepFooters keeps what Parquet files say of themselves, within the memory limit and as long as a file's time of change
	// stays the same, so that a query need not read it of hundreds of files again.
	KeepFooters bool
	// Sketches are what the sketch functions work with; nil: there are no such functions. MaxSketchBytes bounds what the
	// sketches of all sessions hold, which lies outside the memory limit; 0: half of MemoryLimitBytes, or 1 GiB.
	Sketches       *Sketches
	MaxSketchBytes int64
}

// DB is one in-memory DuckDB. It is safe for concurrent use.
type DB struct {
	db       bindings.Database
	registry *registry
	handle   cgo.Handle // of registry, known to the table function
	closing  chan struct{}
	sketches *sketchBook // nil: none
	tempDir  string      // empty: none

	maxResultBytes int64 // 0: no limit
	resultBytes    atomic.Int64

	mu       sync.Mutex
	closed   bool
	sessions sync.WaitGroup
}

// Open opens an empty database, installs the scan function and the macros, applies the limits and locks them.
func Open(o Options) (*DB, error) {
	settings, err := o.settings()
	if err != nil {
		return nil, fmt.Errorf("open duckdb: %w", err)
	}
	db := &DB{registry: newRegistry(), closing: make(chan struct{}), tempDir: o.TempDir, maxResultBytes: o.MaxResultBytes}
	if db.maxResultBytes <= 0 {
		db.maxResultBytes = o.MemoryLimitBytes / 2
	}
	if err := db.open(); err != nil {
		return nil, fmt.Errorf("open duckdb: %w", err)
	}
	db.handle = cgo.NewHandle(db.registry)
	if o.Sketches != nil {
		db.sketches = newSketchBook(o.Sketches, o.sketchLimit())
	}
	if err := db.prepare(settings); err != nil {
		return nil, fmt.Errorf("open duckdb: %w", errors.Join(err, db.Close()))
	}
	return db, nil
}

func (db *DB) open() error {
	var config bindings.Config
	if bindings.CreateConfig(&config) == bindings.StateError {
		return errors.New("out of memory")
	}
	defer bindings.DestroyConfig(&config)
	for _, option := range [][2]string{
		{"autoinstall_known_extensions", "false"},
		{"autoload_known_extensions", "false"},
		{"allow_community_extensions", "false"},
		{"allow_unsigned_extensions", "false"},
	} {
		if bindings.SetConfig(config, option[0], option[1]) == bindings.StateError {
			return fmt.Errorf("this build of DuckDB does not know the option %s", option[0])
		}
	}
	var message string
	if bindings.OpenExt(":memory:", &db.db, config, &message) == bindings.StateError {
		bindings.Close(&db.db)
		return errors.New(message)
	}
	return nil
}

// prepare installs what sessions use, then closes the database to the outside. The order matters: directories are
// allowed before access is closed, and nothing can be set once the configuration is locked.
func (db *DB) prepare(settings []string) error {
	s, err := db.Session(context.Background())
	if err != nil {
		return err
	}
	if C.dr_register_scan(s.conn.Ptr, C.uintptr_t(db.handle)) != 0 ||
		C.dr_register_joda(s.conn.Ptr) != 0 || C.dr_register_time_floor(s.conn.Ptr) != 0 {
		return errors.Join(errors.New("register functions"), s.Close())
	}
	if db.sketches != nil {
		if err := db.sketches.register(s.conn); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	for _, sql := range slices.Concat(macros(), generators(), settings) {
		if err := s.Exec(context.Background(), sql); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", firstLine(sql), err), s.Close())
		}
	}
	return s.Close()
}

func (o Options) settings() ([]string, error) {
	out := []string{
		"SET GLOBAL TimeZone = 'UTC'",
		"SET GLOBAL Calendar = 'gregorian'",
		// Rows have no order unless a query asks for one; keeping one would cost memory and threads.
		"SET GLOBAL preserve_insertion_order = false",
	}
	set := func(name string, value string) { out = append(out, "SET GLOBAL "+name+" = "+value) }
	if o.MemoryLimitBytes > 0 {
		set("memory_limit", quote(bytesText(o.MemoryLimitBytes)))
	}
	if o.KeepFooters {
		set("parquet_metadata_cache", "true")
	}
	if o.Threads > 0 {
		set("threads", strconv.Itoa(o.Threads))
	}
	set("temp_directory", quote(o.TempDir))
	if o.MaxTempBytes > 0 {
		set("max_temp_directory_size", quote(bytesText(o.MaxTempBytes)))
	}
	dirs := make([]string, len(o.AllowedDirs))
	for i, dir := range o.AllowedDirs {
		if !strings.HasPrefix(dir, "/") {
			return nil, fmt.Errorf("allowed directory %q must be an absolute path", dir)
		}
		dirs[i] = quote(dir)
	}
	set("allowed_directories", "["+strings.Join(dirs, ", ")+"]")
	set("enable_external_access", "false")
	set("lock_configuration", "true")
	return out, nil
}

// bytesText gives whole KiB, rounded up: a size that DuckDB reads exactly.
func bytesText(n int64) string { return strconv.FormatInt((n+1023)/1024, 10) + "KiB" }

// quote makes an SQL string literal.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Session opens a connection of its own. The caller closes it.
func (db *DB) Session(ctx context.Context) (*Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open a duckdb session: %w", err)
	}
	if err := db.makeTempDir(); err != nil {
		return nil, fmt.Errorf("open a duckdb session: %w", err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, fmt.Errorf("open a duckdb session: %w", ErrClosed)
	}
	s := &Session{db: db, results: map[*Result]struct{}{}, retain: retainRecord}
	if bindings.Connect(db.db, &s.conn) == bindings.StateError {
		return nil, fmt.Errorf("open a duckdb session: %w", ErrFatal)
	}
	s.id = connectionID(s.conn)
	db.sessions.Add(1)
	return s, nil
}

// makeTempDir makes the directory that queries spill to. DuckDB does so once only, but it may be lost at any time.
func (db *DB) makeTempDir() error {
	if db.tempDir == "" {
		return nil
	}
	return os.MkdirAll(db.tempDir, 0o700)
}

// Close interrupts what runs, waits until every session has been closed by its owner, and closes the database.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return ErrClosed
	}
	db.closed = true
	db.mu.Unlock()
	close(db.closing)
	db.sessions.Wait()
	bindings.Close(&db.db)
	if db.handle != 0 {
		db.handle.Delete()
	}
	if db.sketches != nil {
		return errors.Join(db.registry.empty(), db.sketches.close())
	}
	return db.registry.empty()
}

func (db *DB) isClosing() bool {
	select {
	case <-db.closing:
		return true
	default:
		return false
	}
}

func connectionID(conn bindings.Connection) uint64 {
	var client bindings.ClientContext
	bindings.ConnectionGetClientContext(conn, &client)
	defer bindings.DestroyClientContext(&client)
	return uint64(bindings.ClientContextGetConnectionId(client))
}
