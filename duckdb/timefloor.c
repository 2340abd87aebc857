/* drumlin_floor(time, period), drumlin_floor_from(time, period, origin) and drumlin_whole_days(period): Druid's TIME_FLOOR
 * on timestamps without a zone. They are C because an SQL macro that takes a period apart costs tens of milliseconds of
 * planning for each mention. */
#include "duckdb_c.h"
#include "scan.h"

#include <stdio.h>
#include <string.h>

#define MICROS_PER_DAY INT64_C(86400000000)
#define MICROS_PER_SECOND INT64_C(1000000)

/* Longer periods would overflow the arithmetic below. */
enum { MONTHS_MAX = 1200000, DIGITS_MAX = 9 };

typedef struct {
	int64_t months; /* either months or micros is 0 */
	int64_t micros;
	int64_t origin; /* where multiples count from unless the call says otherwise */
} period;

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Days since 1970-01-01 of a day of the proleptic Gregorian calendar, and back. Years are counted from March on, so that
 * the leap day is the last of its year; 400 years have 146,097 days. */
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
	year -= month <= 2;
	int64_t era = floor_div(year, 400), of_era = year - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day) {
	days += 719468;
	int64_t era = floor_div(days, 146097), of_era = days - era * 146097;
	int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * years + years / 4 - years / 100), m = (5 * of_year + 2) / 153;
	*day = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = years + era * 400 + (*month <= 2);
}

/* The moment that many months after origin, on the month's last day where it has no such day. */
static int64_t add_months(int64_t origin, int64_t months) {
	int64_t days = floor_div(origin, MICROS_PER_DAY), year, month, day;
	date_of(days, &year, &month, &day);
	int64_t total = year * 12 + month - 1 + months, y = floor_div(total, 12), m = total - y * 12 + 1;
	int64_t first = days_of(y, m, 1), length = days_of(m == 12 ? y + 1 : y, m == 12 ? 1 : m + 1, 1) - first;
	return (first + (day < length ? day : length) - 1) * MICROS_PER_DAY + (origin - days * MICROS_PER_DAY);
}

static int64_t floor_months(int64_t t, int64_t step, int64_t origin) {
	int64_t year, month, day, year0, month0, day0;
	date_of(floor_div(t, MICROS_PER_DAY), &year, &month, &day);
	date_of(floor_div(origin, MICROS_PER_DAY), &year0, &month0, &day0);
	int64_t n = floor_div((year - year0) * 12 + month - month0, step) * step;
	int64_t result = add_months(origin, n);
	return result > t ? add_months(origin, n - step) : result;
}

static bool infinite(int64_t t) { return t == INT64_MAX || t == -INT64_MAX; }

/* Returns false where the result is no timestamp. */
static bool floor_time(int64_t t, const period *p, int64_t origin, int64_t *result) {
	*result = t;
	if (infinite(t))
		return true;
	if (p->months) {
		*result = floor_months(t, p->months, origin);
		return *result <= t;
	}
	int64_t past;
	if (infinite(origin) || __builtin_sub_overflow(t, origin, &past))
		return false;
	int64_t rest = past % p->micros;
	return !__builtin_sub_overflow(t, rest < 0 ? rest + p->micros : rest, result);
}

/* Reads an ISO 8601 period such as P1D or PT5M, in either case. Returns NULL, or what is wrong with it. */
static const char *parse_period(const char *text, uint32_t n, period *out) {
	static const char units[] = "YMWDHMS"; /* the first four before T, the others after */
	static const int64_t seconds[] = {0, 0, 604800, 86400, 3600, 60, 1};
	const char *invalid = "is not an ISO 8601 period such as PT1H or P1D";
	int64_t months = 0, total = 0;
	uint32_t i = 1;
	int unit = 0;
	bool clock = false; /* after the T */
	if (n < 3 || (text[0] | 32) != 'p' || text[n - 1] < 'A')
		return invalid;
	while (i < n) {
		if ((text[i] | 32) == 't' && !clock) {
			clock = true;
			unit = 4;
			i++;
			continue;
		}
		int64_t value = 0;
		uint32_t start = i;
		for (; i < n && text[i] >= '0' && text[i] <= '9'; i++)
			if (i - start < DIGITS_MAX)
				value = value * 10 + (text[i] - '0');
		if (i == start || i == n || i - start > DIGITS_MAX)
			return invalid;
		int end = clock ? 7 : 4;
		while (unit < end && units[unit] != (text[i] & ~32))
			unit++;
		if (unit == end)
			return invalid;
		months += unit == 0 ? value * 12 : unit == 1 ? value : 0;
		total += value * seconds[unit];
		unit++;
		i++;
	}
	if ((text[n - 1] | 32) == 't' || (months == 0 && total == 0))
		return invalid;
	if (months && total)
		return "mixes months with shorter units";
	if (months > MONTHS_MAX || total > MONTHS_MAX * INT64_C(2678400))
		return "is too long";
	*out = (period){months, total * MICROS_PER_SECOND, 0};
	/* Multiples count from 1970-01-01, a single week from a Monday. */
	if (n == 3 && text[1] == '1' && (text[2] | 32) == 'w')
		out->origin = 4 * MICROS_PER_DAY;
	return NULL;
}

/* ---- the functions ---- */

/* One argument: its values, and whether a row has one. */
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

/* The period of the row before. Only a text that stands in its header can be recognised again, by its 16 bytes. */
typedef struct {
	bool known;
	dr_string text;
	period value;
} parsed_period;

/* Parses the row's period unless it is known. Returns NULL after reporting an error. */
static const period *period_of(duckdb_handle info, const dr_string *text, parsed_period *last) {
	uint32_t n = text->outside.length;
	bool inside = n <= sizeof text->inside.bytes;
	if (inside && last->known && memcmp(text, &last->text, sizeof *text) == 0)
		return &last->value;
	const char *bytes = inside ? text->inside.bytes : text->outside.pointer;
	const char *wrong = parse_period(bytes, n, &last->value);
	if (wrong) {
		char message[160];
		snprintf(message, sizeof message, "'%.*s' %s", n < 40 ? (int)n : 0, bytes, wrong);
		duckdb_scalar_function_set_error(info, message);
		return NULL;
	}
	last->known = inside;
	last->text = *text;
	return &last->value;
}

static void floor_all(duckdb_handle info, duckdb_handle input, duckdb_handle output, bool from) {
	argument times = argument_at(input, 0), periods = argument_at(input, 1), origins = {0};
	if (from)
		origins = argument_at(input, 2);
	int64_t *out = duckdb_vector_get_data(output);
	parsed_period last = {0};
	for (idx_t i = 0, rows = duckdb_data_chunk_get_size(input); i < rows; i++) {
		if (!has(&times, i) || !has(&periods, i) || (from && !has(&origins, i))) {
			set_null(output, i);
			continue;
		}
		const period *p = period_of(info, (const dr_string *)periods.values + i, &last);
		if (!p)
			return;
		int64_t origin = from ? ((const int64_t *)origins.values)[i] : p->origin;
		if (!floor_time(((const int64_t *)times.values)[i], p, origin, &out[i])) {
			duckdb_scalar_function_set_error(info, "TIME_FLOOR: the result is out of range");
			return;
		}
	}
}

static void floor_plain(duckdb_handle info, duckdb_handle input, duckdb_handle output) {
	floor_all(info, input, output, false);
}

static void floor_from(duckdb_handle info, duckdb_handle input, duckdb_handle output) {
	floor_all(info, input, output, true);
}

static void whole_days(duckdb_handle info, duckdb_handle input, duckdb_handle output) {
	argument periods = argument_at(input, 0);
	bool *out = duckdb_vector_get_data(output);
	parsed_period last = {0};
	for (idx_t i = 0, rows = duckdb_data_chunk_get_size(input); i < rows; i++) {
		if (!has(&periods, i)) {
			set_null(output, i);
			continue;
		}
		const period *p = period_of(info, (const dr_string *)periods.values + i, &last);
		if (!p)
			return;
		out[i] = p->micros % MICROS_PER_DAY == 0;
	}
}

int dr_register_time_floor(void *connection) {
	static const int plain[] = {DUCKDB_T_TIMESTAMP, DUCKDB_T_VARCHAR, 0};
	static const int from[] = {DUCKDB_T_TIMESTAMP, DUCKDB_T_VARCHAR, DUCKDB_T_TIMESTAMP, 0};
	static const int days[] = {DUCKDB_T_VARCHAR, 0};
	int status = dr_register_scalar(connection, "drumlin_floor", plain, DUCKDB_T_TIMESTAMP, floor_plain);
	if (!status)
		status = dr_register_scalar(connection, "drumlin_floor_from", from, DUCKDB_T_TIMESTAMP, floor_from);
	return status ? status : dr_register_scalar(connection, "drumlin_whole_days", days, DUCKDB_T_BOOLEAN, whole_days);
}
