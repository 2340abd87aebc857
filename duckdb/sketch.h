/* Sketch functions: aggregates whose states are sketches, and functions of stored sketches. What a sketch is belongs to
 * Go; here values are hashed, and gathered so that Go is called once for many of them. */
#ifndef DRUMLIN_SKETCH_H
#define DRUMLIN_SKETCH_H

#include <stdbool.h>
#include <stdint.h>

enum { DR_DISTINCT = 0, DR_QUANTILES = 1 };

/* What the sketches of one database share. */
typedef struct {
	uintptr_t kinds; /* Go handle of what makes sketches */
	int64_t limit;   /* bytes that all sketches may take together */
	int64_t used;    /* changed atomically, by C and by Go */
} dr_sketches;

/* The state of one group. Zeroed it is empty. DuckDB may move it, so that nothing points at it. */
typedef struct {
	dr_sketches *shared; /* set once the state holds memory */
	uint64_t *words;     /* hashes, or bits of doubles, that the sketch has not been given yet */
	uint32_t count, capacity;
	uintptr_t sketch;     /* Go handle; 0: none yet */
	int64_t sketch_bytes; /* that the sketch is charged for */
	double fraction;      /* of the quantile that is asked for */
	bool has_fraction;
} dr_sketch;

/* One stored sketch on its way to Go, or one result on its way back. */
typedef struct {
	dr_sketch *state;
	const char *bytes; /* stored form; a result's is freed by C */
	int64_t length;    /* −1: null */
	double fraction;
	double value;
	bool valid;
} dr_sketch_item;

/* Registers the sketch functions. shared must stay until the database is closed. 0: success. */
int dr_register_sketches(void *connection, dr_sketches *shared);

#endif
