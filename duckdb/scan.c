#include "scan.h"
#include "duckdb_c.h"
#include "fill.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_ROWS = 2048,
	MORSELS_PER_THREAD = 16, /* fewer are not worth a thread of their own */
};

/* Implemented in Go. Acquire takes a reference to the scan registered under the token by that connection; NULL: there is
 * none. Release gives the reference back. */
extern dr_scan *drumlinScanAcquire(uintptr_t registry, int64_t token, uint64_t connection_id);
extern void drumlinScanRelease(uintptr_t owner);

/* One mention of the function in a query: what is scanned, and [from, to) of the time column. */
typedef struct {
	dr_scan *scan;
	int64_t from;
	int64_t to;
} bind_data;

typedef struct {
	int64_t batch;
	int32_t start;
	int32_t rows;
} dr_run;

/* One execution. Threads take morsels, consecutive runs of at most CHUNK_ROWS rows together, from a shared counter. */
typedef struct {
	const bind_data *bind;
	atomic_llong next;
	int64_t morsel_count;
	int64_t *morsels; /* first run of each morsel, and the number of runs as a last entry */
	dr_run *runs;
	idx_t column_count;
	idx_t *columns;
} init_data;

static void free_bind(void *data) {
	bind_data *bind = data;
	drumlinScanRelease(bind->scan->owner);
	free(bind);
}

static void free_init(void *data) {
	init_data *init = data;
	free(init->morsels);
	free(init->runs);
	free(init->columns);
	free(init);
}

/* ---- bind ---- */

static int64_t int64_parameter(duckdb_handle value, int64_t otherwise) {
	if (!value)
		return otherwise;
	int64_t result = duckdb_is_null_value(value) ? otherwise : duckdb_get_int64(value);
	duckdb_destroy_value(&value);
	return result;
}

static int sql_type(int32_t type) {
	switch (type) {
	case DR_TIMESTAMP:
		return DUCKDB_T_TIMESTAMP;
	case DR_BIGINT:
		return DUCKDB_T_BIGINT;
	case DR_DOUBLE:
		return DUCKDB_T_DOUBLE;
	case DR_FLOAT:
		return DUCKDB_T_FLOAT;
	case DR_INTEGER:
		return DUCKDB_T_INTEGER;
	case DR_VARCHAR:
		return DUCKDB_T_VARCHAR;
	default:
		return DUCKDB_T_BLOB;
	}
}

static uint64_t bind_connection_id(duckdb_handle info) {
	duckdb_handle context = NULL;
	duckdb_table_function_get_client_context(info, &context);
	uint64_t id = duckdb_client_context_get_connection_id(context);
	duckdb_destroy_client_context(&context);
	return id;
}

static void scan_bind(duckdb_handle info) {
	uintptr_t registry = (uintptr_t)duckdb_bind_get_extra_info(info);
	int64_t token = int64_parameter(duckdb_bind_get_parameter(info, 0), -1);
	dr_scan *scan = drumlinScanAcquire(registry, token, bind_connection_id(info));
	if (!scan) {
		duckdb_bind_set_error(info, "drumlin_scan: this session has no scan under that token");
		return;
	}
	bind_data *bind = calloc(1, sizeof *bind);
	if (!bind) {
		drumlinScanRelease(scan->owner);
		duckdb_bind_set_error(info, "drumlin_scan: out of memory");
		return;
	}
	bind->scan = scan;
	bind->from = int64_parameter(duckdb_bind_get_named_parameter(info, "from_micros"), INT64_MIN);
	bind->to = int64_parameter(duckdb_bind_get_named_parameter(info, "to_micros"), INT64_MAX);
	duckdb_bind_set_bind_data(info, bind, free_bind);
	if (scan->time_column < 0 && (bind->from != INT64_MIN || bind->to != INT64_MAX)) {
		duckdb_bind_set_error(info, "drumlin_scan: from_micros and to_micros need a __time column in the scan");
		return;
	}
	for (int32_t i = 0; i < scan->column_count; i++) {
		duckdb_handle type = duckdb_create_logical_type(sql_type(scan->columns[i].type));
		duckdb_bind_add_result_column(info, scan->columns[i].name, type);
		duckdb_destroy_logical_type(&type);
	}
	bool whole = bind->from == INT64_MIN && bind->to == INT64_MAX;
	duckdb_bind_set_cardinality(info, (idx_t)scan->rows, whole);
}

/* ---- init ---- */

static bool bounded(const dr_batch *batch) { return batch->min_micros <= batch->max_micros; }

static bool outside(const bind_data *bind, const dr_batch *batch) {
	return bounded(batch) && (batch->max_micros < bind->from || batch->min_micros >= bind->to);
}

/* Cuts the batches that overlap the time range into runs and packs consecutive runs into morsels, so that many small
 * batches still make full chunks. */
static bool plan_morsels(init_data *init) {
	const dr_scan *scan = init->bind->scan;
	int64_t runs_max = 0;
	for (int64_t b = 0; b < scan->batch_count; b++)
		runs_max += scan->batches[b].rows / CHUNK_ROWS + 1;
	init->runs = malloc((size_t)(runs_max + 1) * sizeof *init->runs);
	init->morsels = malloc((size_t)(runs_max + 1) * sizeof *init->morsels);
	if (!init->runs || !init->morsels)
		return false;
	int64_t runs = 0, rows_in_morsel = CHUNK_ROWS;
	for (int64_t b = 0; b < scan->batch_count; b++) {
		const dr_batch *batch = &scan->batches[b];
		if (outside(init->bind, batch))
			continue;
		for (int64_t start = 0; start < batch->rows; start += CHUNK_ROWS) {
			int64_t rows = batch->rows - start < CHUNK_ROWS ? batch->rows - start : CHUNK_ROWS;
			if (rows_in_morsel + rows > CHUNK_ROWS) {
				init->morsels[init->morsel_count++] = runs;
				rows_in_morsel = 0;
			}
			rows_in_morsel += rows;
			init->runs[runs++] = (dr_run){b, (int32_t)start, (int32_t)rows};
		}
	}
	init->morsels[init->morsel_count] = runs;
	return true;
}

static void scan_init(duckdb_handle info) {
	init_data *init = calloc(1, sizeof *init);
	if (!init) {
		duckdb_init_set_error(info, "drumlin_scan: out of memory");
		return;
	}
	init->bind = duckdb_init_get_bind_data(info);
	init->column_count = duckdb_init_get_column_count(info);
	init->columns = malloc((init->column_count + 1) * sizeof *init->columns);
	if (!init->columns || !plan_morsels(init)) {
		free_init(init);
		duckdb_init_set_error(info, "drumlin_scan: out of memory");
		return;
	}
	for (idx_t i = 0; i < init->column_count; i++)
		init->columns[i] = duckdb_init_get_column_index(info, i);
	duckdb_init_set_init_data(info, init, free_init);
	duckdb_init_set_max_threads(info, (idx_t)(init->morsel_count / MORSELS_PER_THREAD) + 1);
}

/* ---- scan ---- */

/* Narrows the run to the rows within the time range. A null time is in no range. */
static void select_by_time(const bind_data *bind, dr_selection *s, uint16_t *buffer) {
	if (bind->from == INT64_MIN && bind->to == INT64_MAX)
		return;
	const dr_vector *time = &s->batch->vectors[bind->scan->time_column];
	bool whole = bounded(s->batch) && s->batch->min_micros >= bind->from && s->batch->max_micros < bind->to;
	if (whole && time->form == DR_ARRAY && !time->validity)
		return;
	int32_t n = 0;
	for (int32_t i = 0; i < s->rows; i++) {
		int64_t row = s->start + i, micros = time->constant.i64;
		if (time->form == DR_NULL)
			break;
		if (time->form == DR_ARRAY) {
			if (time->validity && !dr_bit_at(time->validity, time->validity_offset + row))
				continue;
			memcpy(&micros, time->values + row * 8, 8);
		}
		if (micros >= bind->from && micros < bind->to)
			buffer[n++] = (uint16_t)i;
	}
	if (n == s->rows)
		return;
	s->rows = n;
	s->sel = buffer;
}

/* Fills the chunk with the wanted rows of one morsel. Returns their number, or −1 after reporting an error. */
static int32_t fill_morsel(duckdb_handle info, duckdb_handle chunk, const init_data *init, int64_t morsel) {
	const dr_scan *scan = init->bind->scan;
	uint16_t buffer[CHUNK_ROWS];
	int32_t at = 0;
	for (int64_t r = init->morsels[morsel]; r < init->morsels[morsel + 1]; r++) {
		const dr_run *run = &init->runs[r];
		dr_selection s = {&scan->batches[run->batch], run->start, run->rows, NULL};
		select_by_time(init->bind, &s, buffer);
		if (s.rows == 0)
			continue;
		for (idx_t c = 0; c < init->column_count; c++) {
			idx_t column = init->columns[c];
			if (column >= (idx_t)scan->column_count)
				continue; /* a count needs rows and no column: DuckDB asks for one that does not exist */
			duckdb_handle vector = duckdb_data_chunk_get_vector(chunk, c);
			const dr_column *col = &scan->columns[column];
			const char *wrong = dr_fill_column(vector, col->type, at, &s.batch->vectors[column], &s);
			if (wrong) {
				char message[512];
				snprintf(message, sizeof message, "drumlin_scan: column \"%.200s\" of batch %lld holds %s", col->name,
				         (long long)run->batch, wrong);
				duckdb_function_set_error(info, message);
				return -1;
			}
		}
		at += s.rows;
	}
	return at;
}

static void scan_next(duckdb_handle info, duckdb_handle chunk) {
	init_data *init = duckdb_function_get_init_data(info);
	int32_t rows = 0;
	while (rows == 0) { /* an empty chunk would end the scan */
		int64_t morsel = atomic_fetch_add(&init->next, 1);
		if (morsel >= init->morsel_count)
			break;
		rows = fill_morsel(info, chunk, init, morsel);
	}
	duckdb_data_chunk_set_size(chunk, rows > 0 ? (idx_t)rows : 0);
}

int dr_register_scan(void *connection, uintptr_t registry) {
	duckdb_handle function = duckdb_create_table_function();
	duckdb_handle bigint = duckdb_create_logical_type(DUCKDB_T_BIGINT);
	duckdb_table_function_set_name(function, "drumlin_scan");
	duckdb_table_function_add_parameter(function, bigint);
	duckdb_table_function_add_named_parameter(function, "from_micros", bigint);
	duckdb_table_function_add_named_parameter(function, "to_micros", bigint);
	duckdb_table_function_set_extra_info(function, (void *)registry, NULL);
	duckdb_table_function_set_bind(function, scan_bind);
	duckdb_table_function_set_init(function, scan_init);
	duckdb_table_function_set_function(function, scan_next);
	duckdb_table_function_supports_projection_pushdown(function, true);
	int status = duckdb_register_table_function(connection, function);
	duckdb_destroy_logical_type(&bigint);
	duckdb_destroy_table_function(&function);
	return status;
}
