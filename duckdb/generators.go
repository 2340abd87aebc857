package duckdb

import "fmt"

// What functions make of their arguments lies outside DuckDB's memory limit, and is made for up to 2,048 rows at once
// without a look at interrupts. Those that make much of little are bounded for each value, under their own names.
const (
	maxMadeValues = 100_000
	maxMadeBytes  = 1 << 20
)

// generators returns the statements that put bounds around functions. The bound stands in an argument: DuckDB may compute
// a call ahead of the CASE around it.
func generators() []string {
	tooLong := fmt.Sprintf("error('the list would have more than %d values: use FROM range(…) or FROM generate_series(…)')", maxMadeValues)
	// A list of times has as many values as its step fits in between.
	const times = `abs(epoch(TRY_CAST(b::VARCHAR AS TIMESTAMP)) - epoch(TRY_CAST(a::VARCHAR AS TIMESTAMP))) /
		nullif(abs(epoch(TRY_CAST(c::VARCHAR AS INTERVAL))), 0)`
	const numbers = `abs(TRY_CAST(b AS DOUBLE) - TRY_CAST(a AS DOUBLE)) / nullif(abs(TRY_CAST(c AS DOUBLE)), 0)`
	var out []string
	for _, name := range []string{"range", "generate_series"} {
		out = append(out, fmt.Sprintf(`CREATE MACRO %[1]s
			(b) AS system.main.%[1]s(CASE WHEN b > %[2]d THEN %[3]s ELSE b END),
			(a, b) AS system.main.%[1]s(a, CASE WHEN b::HUGEINT - a > %[2]d THEN %[3]s ELSE b END),
			(a, b, c) AS system.main.%[1]s(a, CASE WHEN
				CASE WHEN typeof(c) = 'INTERVAL' THEN %[4]s ELSE %[5]s END > %[2]d THEN %[3]s ELSE b END, c)`,
			name, maxMadeValues, tooLong, times, numbers))
	}
	long := fmt.Sprintf("error('the text would have more than %d bytes')", maxMadeBytes)
	out = append(out, fmt.Sprintf(`CREATE MACRO repeat(s, n) AS system.main.repeat(s,
		CASE WHEN n::HUGEINT * strlen(s::VARCHAR) > %d THEN %s ELSE n END)`, maxMadeBytes, long))
	for _, name := range []string{"lpad", "rpad"} {
		out = append(out, fmt.Sprintf(`CREATE MACRO %[1]s(s, n, p) AS system.main.%[1]s(s, CASE WHEN n > %[2]d THEN %[3]s ELSE n END, p)`,
			name, maxMadeBytes, long))
	}
	for _, name := range []string{"list_resize", "array_resize"} {
		out = append(out, fmt.Sprintf(`CREATE MACRO %[1]s
			(l, n) AS system.main.%[1]s(l, CASE WHEN n > %[2]d THEN %[3]s ELSE n END),
			(l, n, v) AS system.main.%[1]s(l, CASE WHEN n > %[2]d THEN %[3]s ELSE n END, v)`, name, maxMadeValues, tooLong))
	}
	return out
}
