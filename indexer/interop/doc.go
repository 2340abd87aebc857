// Package interop holds tests alone: that the files which handoffs make read in DuckDB as what was written.
package interop
