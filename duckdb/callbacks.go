package duckdb

/*
#include "scan.h"
*/
import "C"

import "runtime/cgo"

// drumlinScanAcquire is called by C when a statement binds drumlin_scan.
//
//export drumlinScanAcquire
func drumlinScanAcquire(handle C.uintptr_t, token C.int64_t, connection C.uint64_t) *C.dr_scan {
	g, ok := cgo.Handle(handle).Value().(*registry)
	if !ok {
		return nil
	}
	e := g.acquire(int64(token), uint64(connection))
	if e == nil {
		return nil
	}
	return e.c
}

// drumlinScanRelease is called by C when DuckDB destroys what a statement has bound.
//
//export drumlinScanRelease
func drumlinScanRelease(owner C.uintptr_t) {
	if e, ok := cgo.Handle(owner).Value().(*scanEntry); ok {
		e.release()
	}
}
