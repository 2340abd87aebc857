/* drumlin_strftime_format and drumlin_strptime_format: a Joda pattern as a format of DuckDB's strftime and strptime. */
#include "duckdb_c.h"
#include "scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In a format for printing these bytes stand where the zone goes; the macro that calls strftime replaces them. */
enum { MARK_OFFSET = 1, MARK_OFFSET_COLON = 2, MARK_ZONE = 3 };

static const char *pick(size_t n, const char *one, const char *two) { return n == 1 ? one : two; }

/* The directive for a run of n equal pattern letters; NULL: there is none. */
static const char *directive(char letter, size_t n, bool parse) {
	static const char offset[] = {MARK_OFFSET, 0}, colon[] = {MARK_OFFSET_COLON, 0}, zone[] = {MARK_ZONE, 0};
	switch (letter) {
	case 'y':
	case 'Y':
		return n == 2 ? "%y" : "%Y";
	case 'x':
		return "%G";
	case 'M':
		return n <= 2 ? pick(n, "%-m", "%m") : n == 3 ? "%b" : "%B";
	case 'd':
		return pick(n, "%-d", "%d");
	case 'D':
		return pick(n, "%-j", "%j");
	case 'E':
		return n <= 3 ? "%a" : "%A";
	case 'e':
		return "%u";
	case 'w':
		return "%V";
	case 'H':
		return pick(n, "%-H", "%H");
	case 'h':
		return pick(n, "%-I", "%I");
	case 'm':
		return pick(n, "%-M", "%M");
	case 's':
		return pick(n, "%-S", "%S");
	case 'S':
		return n == 3 ? "%g" : n == 6 ? "%f" : n == 9 ? "%n" : NULL;
	case 'a':
		return "%p";
	case 'z':
		return parse ? "%Z" : zone;
	case 'Z':
		if (parse)
			return n <= 2 ? "%z" : "%Z";
		return n == 1 ? offset : n == 2 ? colon : zone;
	default:
		return NULL;
	}
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static char *put_literal(char *out, char c) {
	if (c == '%')
		*out++ = '%';
	*out++ = c;
	return out;
}

/* Writes the format into out, which has room for 4 bytes per byte of the pattern. Returns its length, or −1 with the
 * offending character in bad. */
static int64_t convert(const char *p, size_t n, bool parse, char *out, char *bad) {
	char *start = out;
	for (size_t i = 0; i < n;) {
		char c = p[i];
		if (c == '\'') {
			if (i + 1 < n && p[i + 1] == '\'') { /* two quotes: one quote */
				*out++ = '\'';
				i += 2;
				continue;
			}
			for (i++; i < n && !(p[i] == '\'' && !(i + 1 < n && p[i + 1] == '\'')); i++) {
				if (p[i] == '\'')
					i++;
				*bad = p[i];
				if (*bad >= 0 && *bad < ' ') /* would be taken for a mark */
					return -1;
				out = put_literal(out, p[i]);
			}
			i++;
			continue;
		}
		*bad = c;
		if (c >= 0 && c < ' ')
			return -1;
		if (!is_letter(c)) {
			out = put_literal(out, c);
			i++;
			continue;
		}
		size_t run = 1;
		while (i + run < n && p[i + run] == c)
			run++;
		const char *d = directive(c, run, parse);
		if (!d)
			return -1;
		out = stpcpy(out, d);
		i += run;
	}
	return out - start;
}

static void convert_all(duckdb_handle info, duckdb_handle input, duckdb_handle output, bool parse) {
	duckdb_handle vector = duckdb_data_chunk_get_vector(input, 0);
	dr_string *patterns = duckdb_vector_get_data(vector);
	uint64_t *valid = duckdb_vector_get_validity(vector);
	idx_t rows = duckdb_data_chunk_get_size(input);
	for (idx_t i = 0; i < rows; i++) {
		if (valid && !(valid[i >> 6] >> (i & 63) & 1)) {
			duckdb_vector_ensure_validity_writable(output);
			duckdb_vector_get_validity(output)[i >> 6] &= ~(1ULL << (i & 63));
			continue;
		}
		size_t n = patterns[i].outside.length;
		const char *p = n <= 12 ? patterns[i].inside.bytes : patterns[i].outside.pointer;
		char *out = malloc(n * 4 + 8), bad = 0;
		int64_t length = out ? convert(p, n, parse, out, &bad) : -1;
		if (length >= 0)
			duckdb_vector_assign_string_element_len(output, i, out, (idx_t)length);
		free(out);
		if (length < 0) {
			char message[160];
			snprintf(message, sizeof message, "a time pattern of this form is not supported, at '%c'", bad < ' ' ? '?' : bad);
			duckdb_scalar_function_set_error(info, message);
			return;
		}
	}
}

static void for_printing(duckdb_handle info, duckdb_handle input, duckdb_handle output) {
	convert_all(info, input, output, false);
}

static void for_parsing(duckdb_handle info, duckdb_handle input, duckdb_handle output) {
	convert_all(info, input, output, true);
}

int dr_register_scalar(void *connection, const char *name, const int *parameters, int result, dr_scalar_fn call) {
	duckdb_handle function = duckdb_create_scalar_function();
	duckdb_scalar_function_set_name(function, name);
	for (; *parameters; parameters++) {
		duckdb_handle type = duckdb_create_logical_type(*parameters);
		duckdb_scalar_function_add_parameter(function, type);
		duckdb_destroy_logical_type(&type);
	}
	duckdb_handle type = duckdb_create_logical_type(result);
	duckdb_scalar_function_set_return_type(function, type);
	duckdb_destroy_logical_type(&type);
	duckdb_scalar_function_set_function(function, call);
	int status = duckdb_register_scalar_function(connection, function);
	duckdb_destroy_scalar_function(&function);
	return status;
}

int dr_register_joda(void *connection) {
	static const int text[] = {DUCKDB_T_VARCHAR, 0};
	int status = dr_register_scalar(connection, "drumlin_strftime_format", text, DUCKDB_T_VARCHAR, for_printing);
	return status ? status
	              : dr_register_scalar(connection, "drumlin_strptime_format", text, DUCKDB_T_VARCHAR, for_parsing);
}
