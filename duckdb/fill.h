#ifndef DRUMLIN_FILL_H
#define DRUMLIN_FILL_H

#include "duckdb_c.h"
#include "scan.h"

/* The rows of one run that are wanted: sel holds their indices in the run, or is NULL for all of them. */
typedef struct {
	const dr_batch *batch;
	int32_t start;
	int32_t rows;
	const uint16_t *sel;
} dr_selection;

static inline bool dr_bit_at(const uint8_t *bits, int64_t i) { return bits[i >> 3] >> (i & 7) & 1; }

/* Writes the selected rows of v into the vector from row at on. Returns NULL, or what is wrong with the values. */
const char *dr_fill_column(duckdb_handle vector, int32_t type, int32_t at, const dr_vector *v, const dr_selection *s);

#endif
