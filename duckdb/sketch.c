#include "sketch.h"
#include "duckdb_c.h"
#include "metro.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values that a state gathers before Go is called. */
enum { WORDS_FIRST = 8, WORDS_MAX = 512 };

/* The prefix by which Go knows that memory has run out. */
#define NO_MEMORY "sketches need more memory than they may use"

/* The prefix of messages about values that cannot be used, known to Go too. */
#define WRONG "sketch: "

/* Go. Texts that are returned are errors, to be freed here. */
extern void drumlinSketchAdd(dr_sketch *state, int kind);
extern char *drumlinSketchMerge(dr_sketches *shared, int kind, dr_sketch_item *items, int64_t count);
extern char *drumlinSketchCombine(dr_sketch *target, dr_sketch *source, int kind);
extern char *drumlinSketchFinish(dr_sketches *shared, int kind, bool stored, dr_sketch_item *items, int64_t count);
extern char *drumlinSketchRead(dr_sketches *shared, int kind, dr_sketch_item *items, int64_t count);
extern void drumlinSketchFree(uintptr_t sketch);

typedef enum { INPUT_STORED, INPUT_TEXT, INPUT_LONG, INPUT_HUGE, INPUT_DOUBLE, INPUT_TIME, INPUT_BOOLEAN } input_form;

/* One function of one input type, as DuckDB keeps it. */
typedef struct {
	dr_sketches *shared;
	int kind;
	input_form form;
	bool fraction; /* a second argument says which quantile */
	bool stored;   /* gives the sketch itself */
} sketch_function;

typedef struct {
	const void *values;
	const uint64_t *valid;
} argument;

static argument argument_at(duckdb_handle input, idx_t column) {
	duckdb_handle vector = duckdb_data_chunk_get_vector(input, column);
	return (argument){duckdb_vector_get_data(vector), duckdb_vector_get_validity(vector)};
}

static bool has(const argument *a, idx_t row) { return !a->valid || a->valid[row >> 6] >> (row & 63) & 1; }

static void set_null(duckdb_handle vector, idx_t row) {
	duckdb_vector_ensure_validity_writable(vector);
	duckdb_vector_get_validity(vector)[row >> 6] &= ~(1ULL << (row & 63));
}

static const char *text_of(const dr_string *s) {
	return s->outside.length <= sizeof s->inside.bytes ? s->inside.bytes : s->outside.pointer;
}

static bool charge(dr_sketches *shared, int64_t bytes) {
	return __atomic_add_fetch(&shared->used, bytes, __ATOMIC_RELAXED) <= shared->limit;
}

static bool within_limit(const dr_sketches *shared) {
	return __atomic_load_n(&shared->used, __ATOMIC_RELAXED) <= shared->limit;
}

/* Makes room for one word more. The memory that is taken is charged for, also where that is too much. */
static bool grow(dr_sketch *s, int kind) {
	if (s->count == WORDS_MAX) {
		drumlinSketchAdd(s, kind);
		return within_limit(s->shared);
	}
	uint32_t capacity = s->capacity ? s->capacity * 2 : WORDS_FIRST;
	uint64_t *words = realloc(s->words, capacity * sizeof *words);
	if (!words)
		return false;
	int64_t more = (int64_t)(capacity - s->capacity) * (int64_t)sizeof *words;
	s->words = words;
	s->capacity = capacity;
	return charge(s->shared, more);
}

static bool gather(dr_sketch *s, int kind, uint64_t word) {
	bool room = s->count < s->capacity || grow(s, kind);
	if (room)
		s->words[s->count++] = word;
	return room;
}

static double canonical(double v) {
	static const uint64_t nan_bits = UINT64_C(0x7FF8000000000001); /* Go's */
	if (v != v)
		memcpy(&v, &nan_bits, sizeof v);
	return v + 0.0; /* one zero */
}

static uint64_t bits_of(double v) {
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	return bits;
}

static uint64_t hash_words(const uint64_t *words, size_t n) { return dr_metro((const char *)words, n * sizeof *words); }

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* The word that stands for the value of a row: its hash, or the bits of the double. */
static uint64_t word_of(const sketch_function *f, const argument *a, idx_t row) {
	uint64_t words[2];
	switch (f->form) {
	case INPUT_TEXT: {
		const dr_string *s = (const dr_string *)a->values + row;
		return dr_metro(text_of(s), s->outside.length);
	}
	case INPUT_LONG:
		return hash_words((const uint64_t *)a->values + row, 1);
	case INPUT_HUGE: /* low half first; a value of 64 bits is one with the same long */
		memcpy(words, (const char *)a->values + row * sizeof words, sizeof words);
		return hash_words(words, (int64_t)words[1] == (int64_t)words[0] >> 63 ? 1 : 2);
	case INPUT_TIME: /* in milliseconds, as rollup sees times */
		words[0] = (uint64_t)floor_div(((const int64_t *)a->values)[row], 1000);
		return hash_words(words, 1);
	case INPUT_BOOLEAN:
		words[0] = ((const bool *)a->values)[row];
		return hash_words(words, 1);
	default:
		break;
	}
	double v = ((const double *)a->values)[row];
	if (f->kind == DR_QUANTILES)
		return bits_of(v);
	words[0] = bits_of(canonical(v));
	return hash_words(words, 1);
}

/* ---- the aggregate ---- */

static idx_t state_size(duckdb_handle info) {
	(void)info;
	return sizeof(dr_sketch);
}

static void state_init(duckdb_handle info, void *state) {
	(void)info;
	memset(state, 0, sizeof(dr_sketch));
}

static void state_destroy(void **states, idx_t count) {
	for (idx_t i = 0; i < count; i++) {
		dr_sketch *s = states[i];
		if (!s->shared)
			continue;
		charge(s->shared, -(int64_t)(s->capacity * sizeof *s->words) - s->sketch_bytes);
		free(s->words);
		if (s->sketch)
			drumlinSketchFree(s->sketch);
		memset(s, 0, sizeof *s);
	}
}

/* Reports an error that Go returned. */
static bool failed(duckdb_handle info, char *error) {
	if (!error)
		return false;
	duckdb_aggregate_function_set_error(info, error);
	free(error);
	return true;
}

static const char *set_fraction(dr_sketch *s, double fraction) {
	if (!(fraction >= 0 && fraction <= 1))
		return WRONG "a quantile must be from 0 to 1";
	if (s->has_fraction && s->fraction != fraction)
		return WRONG "a quantile must be the same for all rows";
	s->fraction = fraction;
	s->has_fraction = true;
	return NULL;
}

static bool update_fractions(duckdb_handle info, duckdb_handle input, void **states) {
	argument fractions = argument_at(input, 1);
	for (idx_t i = 0, rows = duckdb_data_chunk_get_size(input); i < rows; i++) {
		const char *wrong = has(&fractions, i) ? set_fraction(states[i], ((const double *)fractions.values)[i])
		                                       : WRONG "a quantile must be from 0 to 1, not null";
		if (wrong) {
			duckdb_aggregate_function_set_error(info, wrong);
			return false;
		}
	}
	return true;
}

static void update_stored(duckdb_handle info, duckdb_handle input, void **states, const sketch_function *f) {
	argument sketches = argument_at(input, 0);
	idx_t rows = duckdb_data_chunk_get_size(input), n = 0;
	dr_sketch_item *items = calloc(rows ? rows : 1, sizeof *items);
	if (!items) {
		duckdb_aggregate_function_set_error(info, NO_MEMORY);
		return;
	}
	for (idx_t i = 0; i < rows; i++) {
		if (!has(&sketches, i))
			continue;
		const dr_string *s = (const dr_string *)sketches.values + i;
		dr_sketch *state = states[i];
		state->shared = f->shared;
		items[n++] = (dr_sketch_item){.state = state, .bytes = text_of(s), .length = s->outside.length};
	}
	char *error = n ? drumlinSketchMerge(f->shared, f->kind, items, (int64_t)n) : NULL;
	free(items);
	if (!failed(info, error) && !within_limit(f->shared))
		duckdb_aggregate_function_set_error(info, NO_MEMORY);
}

static void update(duckdb_handle info, duckdb_handle input, void **states) {
	const sketch_function *f = duckdb_aggregate_function_get_extra_info(info);
	if (f->fraction && !update_fractions(info, input, states))
		return;
	if (f->form == INPUT_STORED) {
		update_stored(info, input, states, f);
		return;
	}
	argument values = argument_at(input, 0);
	for (idx_t i = 0, rows = duckdb_data_chunk_get_size(input); i < rows; i++) {
		if (!has(&values, i))
			continue;
		dr_sketch *state = states[i];
		state->shared = f->shared;
		if (!gather(state, f->kind, word_of(f, &values, i))) {
			duckdb_aggregate_function_set_error(info, NO_MEMORY);
			return;
		}
	}
}

/* Adds what the source has to the target. The source stays as it is: windows use it again. */
static bool combine_one(duckdb_handle info, const sketch_function *f, dr_sketch *source, dr_sketch *target) {
	const char *wrong = source->has_fraction ? set_fraction(target, source->fraction) : NULL;
	if (wrong) {
		duckdb_aggregate_function_set_error(info, wrong);
		return false;
	}
	if (!source->shared)
		return true;
	target->shared = f->shared;
	for (uint32_t i = 0; i < source->count; i++)
		if (!gather(target, f->kind, source->words[i])) {
			duckdb_aggregate_function_set_error(info, NO_MEMORY);
			return false;
		}
	if (!source->sketch)
		return true;
	if (failed(info, drumlinSketchCombine(target, source, f->kind)))
		return false;
	if (within_limit(f->shared))
		return true;
	duckdb_aggregate_function_set_error(info, NO_MEMORY);
	return false;
}

static void combine(duckdb_handle info, void **sources, void **targets, idx_t count) {
	const sketch_function *f = duckdb_aggregate_function_get_extra_info(info);
	for (idx_t i = 0; i < count; i++)
		if (!combine_one(info, f, sources[i], targets[i]))
			return;
}

static void put(duckdb_handle vector, idx_t row, const sketch_function *f, const dr_sketch_item *item) {
	if (!item->valid)
		set_null(vector, row);
	else if (f->stored)
		duckdb_vector_assign_string_element_len(vector, row, item->bytes, (idx_t)item->length);
	else if (f->kind == DR_DISTINCT)
		((int64_t *)duckdb_vector_get_data(vector))[row] = (int64_t)item->value;
	else
		((double *)duckdb_vector_get_data(vector))[row] = item->value;
}

static void finalize(duckdb_handle info, void **states, duckdb_handle result, idx_t count, idx_t offset) {
	const sketch_function *f = duckdb_aggregate_function_get_extra_info(info);
	dr_sketch_item *items = calloc(count ? count : 1, sizeof *items);
	if (!items) {
		duckdb_aggregate_function_set_error(info, NO_MEMORY);
		return;
	}
	for (idx_t i = 0; i < count; i++)
		items[i].state = states[i];
	if (!failed(info, drumlinSketchFinish(f->shared, f->kind, f->stored, items, (int64_t)count)))
		for (idx_t i = 0; i < count; i++)
			put(result, offset + i, f, &items[i]);
	if (f->stored)
		for (idx_t i = 0; i < count; i++)
			free((char *)items[i].bytes);
	free(items);
}

/* ---- functions of stored sketches ---- */

static void read_stored(duckdb_handle info, duckdb_handle input, duckdb_handle output) {
	const sketch_function *f = duckdb_scalar_function_get_extra_info(info);
	argument sketches = argument_at(input, 0), fractions = {0};
	if (f->fraction)
		fractions = argument_at(input, 1);
	idx_t rows = duckdb_data_chunk_get_size(input);
	dr_sketch_item *items = calloc(rows ? rows : 1, sizeof *items);
	if (!items) {
		duckdb_scalar_function_set_error(info, NO_MEMORY);
		return;
	}
	for (idx_t i = 0; i < rows; i++) {
		items[i].length = -1;
		if (f->fraction)
			items[i].fraction = has(&fractions, i) ? ((const double *)fractions.values)[i] : NAN;
		if (!has(&sketches, i))
			continue;
		const dr_string *s = (const dr_string *)sketches.values + i;
		items[i].bytes = text_of(s);
		items[i].length = s->outside.length;
	}
	char *error = drumlinSketchRead(f->shared, f->kind, items, (int64_t)rows);
	if (error)
		duckdb_scalar_function_set_error(info, error);
	else
		for (idx_t i = 0; i < rows; i++)
			put(output, i, f, &items[i]);
	free(error);
	free(items);
}

/* ---- registration ---- */

static const struct {
	input_form form;
	int type;
} inputs[] = {
    {INPUT_STORED, DUCKDB_T_BLOB},    {INPUT_DOUBLE, DUCKDB_T_DOUBLE},  {INPUT_TEXT, DUCKDB_T_VARCHAR},
    {INPUT_LONG, DUCKDB_T_BIGINT},    {INPUT_HUGE, DUCKDB_T_HUGEINT},   {INPUT_TIME, DUCKDB_T_TIMESTAMP},
    {INPUT_BOOLEAN, DUCKDB_T_BOOLEAN},
};

static int result_type(const sketch_function *f) {
	return f->stored ? DUCKDB_T_BLOB : f->kind == DR_DISTINCT ? DUCKDB_T_BIGINT : DUCKDB_T_DOUBLE;
}

static void add_parameter(duckdb_handle function, void (*add)(duckdb_handle, duckdb_handle), int type) {
	duckdb_handle logical = duckdb_create_logical_type(type);
	add(function, logical);
	duckdb_destroy_logical_type(&logical);
}

static sketch_function *copy_of(const sketch_function *f) {
	sketch_function *copy = malloc(sizeof *copy);
	if (copy)
		*copy = *f;
	return copy;
}

static int add_aggregate(duckdb_handle set, const char *name, sketch_function f, int type) {
	sketch_function *extra = copy_of(&f);
	if (!extra)
		return 1;
	duckdb_handle function = duckdb_create_aggregate_function();
	duckdb_aggregate_function_set_name(function, name);
	add_parameter(function, duckdb_aggregate_function_add_parameter, type);
	if (f.fraction)
		add_parameter(function, duckdb_aggregate_function_add_parameter, DUCKDB_T_DOUBLE);
	add_parameter(function, duckdb_aggregate_function_set_return_type, result_type(&f));
	duckdb_aggregate_function_set_special_handling(function);
	duckdb_aggregate_function_set_extra_info(function, extra, free);
	duckdb_aggregate_function_set_functions(function, state_size, state_init, update, combine, finalize);
	duckdb_aggregate_function_set_destructor(function, state_destroy);
	int status = duckdb_add_aggregate_function_to_set(set, function);
	duckdb_destroy_aggregate_function(&function);
	return status;
}

/* Registers an aggregate with one form for each type that it takes: quantiles are of numbers. */
static int register_aggregate(void *connection, const char *name, sketch_function f) {
	duckdb_handle set = duckdb_create_aggregate_function_set(name);
	int status = 0;
	size_t forms = f.kind == DR_QUANTILES ? 2 : sizeof inputs / sizeof *inputs;
	for (size_t i = 0; i < forms && !status; i++) {
		f.form = inputs[i].form;
		status = add_aggregate(set, name, f, inputs[i].type);
	}
	if (!status)
		status = duckdb_register_aggregate_function_set(connection, set);
	duckdb_destroy_aggregate_function_set(&set);
	return status;
}

static int register_reader(void *connection, const char *name, sketch_function f) {
	sketch_function *extra = copy_of(&f);
	if (!extra)
		return 1;
	duckdb_handle function = duckdb_create_scalar_function();
	duckdb_scalar_function_set_name(function, name);
	add_parameter(function, duckdb_scalar_function_add_parameter, DUCKDB_T_BLOB);
	if (f.fraction)
		add_parameter(function, duckdb_scalar_function_add_parameter, DUCKDB_T_DOUBLE);
	add_parameter(function, duckdb_scalar_function_set_return_type, result_type(&f));
	duckdb_scalar_function_set_special_handling(function);
	duckdb_scalar_function_set_extra_info(function, extra, free);
	duckdb_scalar_function_set_function(function, read_stored);
	int status = duckdb_register_scalar_function(connection, function);
	duckdb_destroy_scalar_function(&function);
	return status;
}

int dr_register_sketches(void *connection, dr_sketches *shared) {
	sketch_function distinct = {.shared = shared, .kind = DR_DISTINCT};
	sketch_function quantile = {.shared = shared, .kind = DR_QUANTILES, .fraction = true};
	sketch_function sketch = {.shared = shared, .kind = DR_DISTINCT, .stored = true};
	int status = register_aggregate(connection, "approx_count_distinct_ds_hll", distinct) ||
	             register_aggregate(connection, "approx_quantile_ds", quantile) ||
	             register_aggregate(connection, "ds_hll", sketch) ||
	             register_reader(connection, "hll_sketch_estimate", distinct) ||
	             register_reader(connection, "ds_get_quantile", quantile);
	sketch.kind = DR_QUANTILES;
	return status || register_aggregate(connection, "ds_quantiles_sketch", sketch);
}
