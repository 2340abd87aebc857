/* drumlin_scan: a DuckDB table function over Arrow batches. Everything that it reads is described here, in memory that
 * Go allocates from C, fills once and never changes afterwards. */
#ifndef DRUMLIN_SCAN_H
#define DRUMLIN_SCAN_H

#include <stdint.h>

/* How a column's values are laid out, and with it its SQL type. */
enum {
	DR_TIMESTAMP = 1, /* int64 microseconds, UTC */
	DR_BIGINT,
	DR_DOUBLE,
	DR_FLOAT,
	DR_INTEGER,
	DR_VARCHAR, /* int32 offsets into bytes */
	DR_BLOB16,  /* 16 bytes each */
	DR_BLOB,    /* int32 offsets into bytes */
};

enum { DR_ARRAY = 0, DR_CONSTANT = 1, DR_NULL = 2 };

/* The values of one column in one batch. */
typedef struct {
	int32_t form;
	int32_t constant_bytes;  /* DR_CONSTANT of a string: its length; the text is at values */
	const uint8_t *validity; /* one bit per row, 1 valid; NULL: no nulls */
	int64_t validity_offset; /* bit of row 0 */
	const uint8_t *values;   /* of row 0; offsets for DR_VARCHAR and DR_BLOB */
	const char *bytes;       /* DR_VARCHAR and DR_BLOB: what the offsets point into */
	int64_t bytes_len;
	union {
		int64_t i64;
		int32_t i32;
		double f64;
		float f32;
	} constant;
} dr_vector;

typedef struct {
	int64_t rows;
	int64_t min_micros; /* bounds of the time column; min > max: unknown */
	int64_t max_micros;
	dr_vector *vectors; /* one per scan column */
} dr_batch;

typedef struct {
	int32_t type;
	char *name;
} dr_column;

typedef struct {
	uintptr_t owner; /* Go handle of what keeps the batches alive */
	int32_t column_count;
	int32_t time_column; /* −1: none */
	int64_t batch_count;
	int64_t rows;
	dr_column *columns;
	dr_batch *batches;
} dr_scan;

/* Registers drumlin_scan on the connection's database; registry is handed to drumlinScanAcquire. 0: success. */
int dr_register_scan(void *connection, uintptr_t registry);

/* Registers drumlin_strftime_format(pattern) and drumlin_strptime_format(pattern), which turn a Joda pattern into a format
 * of strftime and strptime. 0: success. */
int dr_register_joda(void *connection);

/* Registers what TIME_FLOOR is made of. 0: success. */
int dr_register_time_floor(void *connection);

#endif
