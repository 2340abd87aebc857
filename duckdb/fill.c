/* Copies Arrow values into DuckDB's vectors. Strings are not copied: a vector gets their length and where they stand. */
#include "fill.h"
#include "utf8.h"

#include <string.h>

static int64_t row_at(const dr_selection *s, int32_t i) { return s->start + (s->sel ? s->sel[i] : i); }

/* Writes the validity of the selected rows from bit at on. A whole word may be written where fewer rows remain: a later
 * run of the chunk writes its own bits again. No byte of the bitmap beyond the last row's is read. */
static void copy_validity(uint64_t *mask, int32_t at, const dr_vector *v, const dr_selection *s) {
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
		if (dr_bit_at(v->validity, v->validity_offset + row_at(s, i)))
			mask[(at + i) >> 6] |= bit;
		else
			mask[(at + i) >> 6] &= ~bit;
	}
}

static void set_validity(duckdb_handle vector, int32_t at, const dr_vector *v, const dr_selection *s) {
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
static const char *fill_strings(dr_string *out, const dr_vector *v, const dr_selection *s, bool text) {
	const int32_t *offsets = (const int32_t *)v->values;
	bool plain = !text; /* nothing to check */
	if (!s->sel) {
		int32_t first = offsets[s->start], end = offsets[s->start + s->rows];
		if (first < 0 || end < first || end > v->bytes_len)
			return "string offsets out of range";
		plain = plain || end == first || dr_is_ascii(v->bytes + first, (size_t)(end - first));
	}
	for (int32_t i = 0; i < s->rows; i++) {
		int64_t row = row_at(s, i);
		if (v->validity && !dr_bit_at(v->validity, v->validity_offset + row)) {
			memset(out + i, 0, sizeof *out);
			continue;
		}
		int32_t first = offsets[row], end = offsets[row + 1];
		if (first < 0 || end < first || end > v->bytes_len)
			return "string offsets out of range";
		uint32_t length = (uint32_t)(end - first);
		const char *bytes = length ? v->bytes + first : "";
		if (!plain && !dr_is_utf8(bytes, length))
			return "text that is not valid UTF-8";
		put_string(out + i, bytes, length);
	}
	return NULL;
}

static void fill_blobs(dr_string *out, const dr_vector *v, const dr_selection *s) {
	for (int32_t i = 0; i < s->rows; i++)
		put_string(out + i, (const char *)v->values + row_at(s, i) * 16, 16);
}

static void fill_8(uint64_t *out, const dr_vector *v, const dr_selection *s) {
	const uint64_t *in = (const uint64_t *)v->values;
	if (!s->sel) {
		memcpy(out, in + s->start, (size_t)s->rows * 8);
		return;
	}
	for (int32_t i = 0; i < s->rows; i++)
		out[i] = in[row_at(s, i)];
}

static void fill_4(uint32_t *out, const dr_vector *v, const dr_selection *s) {
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
		case DR_BLOB:
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

const char *dr_fill_column(duckdb_handle vector, int32_t type, int32_t at, const dr_vector *v, const dr_selection *s) {
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
		return fill_strings((dr_string *)data + at, v, s, true);
	case DR_BLOB:
		return fill_strings((dr_string *)data + at, v, s, false);
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
