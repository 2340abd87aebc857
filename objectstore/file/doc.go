// Package file keeps objects as files below one directory, under their keys, for one machine and for tests. Several
// processes may share the directory.
//
// An object is written to a file of its own in .put, synced, and given its name by a link that fails where the name is
// taken; then the directory is synced. So an object is there whole or not at all, before and after a crash. Files are
// read-only. What a crash leaves in .put is removed at the next start; a Put in flight in another process holds a lock on
// its file, which keeps it.
package file
