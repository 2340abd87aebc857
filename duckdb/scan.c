#include "scan.h"
#include "duckdb_c.h"
#include "utf8.h"

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

static bool bit_at(const uint8_t *bits, int64_t i) { return bits[i >> 3] >> (i & 7) & 1; }

/* The rows of one run that are wanted: sel holds their indices in the run, or is NULL for all of them. */
typedef struct {
	const dr_batch *batch;
	int32_t start;
	int32_t rows;
	const uint16_t *sel;
} selection;

static int64_t row_at(const selection *s, int32_t i) { return s->start + (s->sel ? s->sel[i] : i); }

/* Narrows the run to the rows within the time range. A null time is in no range. */
static void select_by_time(const bind_data *bind, selection *s, uint16_t *buffer) {
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
			if (time->validity && !bit_at(time->validity, time->validity_offset + row))
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

/* Writes the validity of the selected rows from bit at on. A whole word may be written where fewer rows remain: a later
 * run of the chunk writes its own bits again. No byte of the bitmap beyond the last row's is read. */
static void copy_validity(uint64_t *mask, int32_t at, const dr_vector *v, const selection *s) {
	if (!s->sel && (at & 63) == 0) {
		int64_t bit = v->validity_offset + s->start, end = bit + s->rows, last_byte = (end - 1) >> 3;
		for (uint64_t *word = mask + (at >> 6); bit < end; bit += 64, word++) {
			uint64_t bits = 0;
			int64_t byte = bit >> 3, shift = bit & 7;
			for (int k = 0; k < 8 && byte + k <= last_byte; k++)
				bits |= (uint64_t)v->validity[byte + k] << (8 * k);
			bits >>= shift;
			if (shift && byte + 8 <= last_byte)
				bits |= (uint64_t)v->validity[byte + 8] << (64 - shift);
			*word = bits;
		}
		return;
	}
	for (int32_t i = 0; i < s->rows; i++) {
		uint64_t bit = 1ULL << ((at + i) & 63);
		if (bit_at(v->validity, v->validity_offset + row_at(s, i)))
			mask[(at + i) >> 6] |= bit;
		else
			mask[(at + i) >> 6] &= ~bit;
	}
}

static void set_validity(duckdb_handle vector, int32_t at, const dr_vector *v, const selection *s) {
	if (v->form == DR_CONSTANT || (v->form == DR_ARRAY && !v->validity)) {
		uint64_t *mask = duckdb_vector_get_validity(vector); /* made by an earlier run of the chunk, if at all */
		for (int32_t i = 0; mask && i < s->rows; i++)
			mask[(at + i) >> 6] |= 1ULL << ((at + i) & 63);
		return;
	}
	duckdb_vector_ensure_validity_writable(vector);
	uint64_t *mask = duckdb_vector_get_validity(vector);
	if (v->form == DR_ARRAY) {
		copy_validity(mask, at, v, s);
		return;
	}
	for (int32_t i = 0; i < s->rows; i++)
		mask[(at + i) >> 6] &= ~(1ULL << ((at + i) & 63));
}

static void put_string(dr_string *out, const char *text, uint32_t length) {
	if (length <= sizeof out->inside.bytes) {
		memset(out, 0, sizeof *out);
		out->inside.length = length;
		memcpy(out->inside.bytes, text, length);
		return;
	}
	out->outside.length = length;
	memcpy(out->outside.prefix, text, sizeof out->outside.prefix);
	out->outside.pointer = text;
}

/* Returns NULL, or what is wrong with the column. Text is checked as it is handed over, because DuckDB declares its
 * whole database invalid when it meets a malformed string. */
static const char *fill_strings(dr_string *out, const dr_vector *v, const selection *s) {
	const int32_t *offsets = (const int32_t *)v->values;
	bool ascii = false;
	if (!s->sel) {
		int32_t first = offsets[s->start], end = offsets[s->start + s->rows];
		if (first < 0 || end < first || end > v->bytes_len)
			return "string offsets out of range";
		ascii = end == first || dr_is_ascii(v->bytes + first, (size_t)(end - first));
	}
	for (int32_t i = 0; i < s->rows; i++) {
		int64_t row = row_at(s, i);
		if (v->validity && !bit_at(v->validity, v->validity_offset + row)) {
			memset(out + i, 0, sizeof *out);
			continue;
		}
		int32_t first = offsets[row], end = offsets[row + 1];
		if (first < 0 || end < first || end > v->bytes_len)
			return "string offsets out of range";
		uint32_t length = (uint32_t)(end - first);
		const char *text = length ? v->bytes + first : "";
		if (!ascii && !dr_is_utf8(text, length))
			return "text that is not valid UTF-8";
		put_string(out + i, text, length);
	}
	return NULL;
}

static void fill_blobs(dr_string *out, const dr_vector *v, const selection *s) {
	for (int32_t i = 0; i < s->rows; i++)
		put_string(out + i, (const char *)v->values + row_at(s, i) * 16, 16);
}

static void fill_8(uint64_t *out, const dr_vector *v, const selection *s) {
	const uint64_t *in = (const uint64_t *)v->values;
	if (!s->sel) {
		memcpy(out, in + s->start, (size_t)s->rows * 8);
		return;
	}
	for (int32_t i = 0; i < s->rows; i++)
		out[i] = in[row_at(s, i)];
}

static void fill_4(uint32_t *out, const dr_vector *v, const selection *s) {
	const uint32_t *in = (const uint32_t *)v->values;
	if (!s->sel) {
		memcpy(out, in + s->start, (size_t)s->rows * 4);
		return;
	}
	for (int32_t i = 0; i < s->rows; i++)
		out[i] = in[row_at(s, i)];
}

static void fill_constant(uint8_t *data, int32_t at, int32_t type, const dr_vector *v, int32_t rows) {
	for (int32_t i = at; i < at + rows; i++) {
		switch (type) {
		case DR_VARCHAR:
		case DR_BLOB16:
			put_string((dr_string *)data + i, (const char *)v->values, (uint32_t)v->constant_bytes);
			break;
		case DR_FLOAT:
		case DR_INTEGER:
			memcpy(data + (size_t)i * 4, &v->constant, 4);
			break;
		default:
			memcpy(data + (size_t)i * 8, &v->constant, 8);
		}
	}
}

static const char *fill_column(duckdb_handle vector, int32_t type, int32_t at, const dr_vector *v,
                               const selection *s) {
	uint8_t *data = duckdb_vector_get_data(vector);
	set_validity(vector, at, v, s);
	if (v->form == DR_NULL)
		return NULL;
	if (v->form == DR_CONSTANT) {
		fill_constant(data, at, type, v, s->rows);
		return NULL;
	}
	switch (type) {
	case DR_VARCHAR:
		return fill_strings((dr_string *)data + at, v, s);
	case DR_BLOB16:
		fill_blobs((dr_string *)data + at, v, s);
		return NULL;
	case DR_FLOAT:
	case DR_INTEGER:
		fill_4((uint32_t *)data + at, v, s);
		return NULL;
	default:
		fill_8((uint64_t *)data + at, v, s);
		return NULL;
	}
}

/* Fills the chunk with the wanted rows of one morsel. Returns their number, or −1 after reporting an error. */
static int32_t fill_morsel(duckdb_handle info, duckdb_handle chunk, const init_data *init, int64_t morsel) {
	const dr_scan *scan = init->bind->scan;
	uint16_t buffer[CHUNK_ROWS];
	int32_t at = 0;
	for (int64_t r = init->morsels[morsel]; r < init->morsels[morsel + 1]; r++) {
		const dr_run *run = &init->runs[r];
		selection s = {&scan->batches[run->batch], run->start, run->rows, NULL};
		select_by_time(init->bind, &s, buffer);
		if (s.rows == 0)
			continue;
		for (idx_t c = 0; c < init->column_count; c++) {
			idx_t column = init->columns[c];
			if (column >= (idx_t)scan->column_count)
				continue; /* a count needs rows and no column: DuckDB asks for one that does not exist */
			duckdb_handle vector = duckdb_data_chunk_get_vector(chunk, c);
			const dr_column *col = &scan->columns[column];
			const char *wrong = fill_column(vector, col->type, at, &s.batch->vectors[column], &s);
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
