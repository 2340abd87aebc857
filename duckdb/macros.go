package duckdb

// macros returns the statements that define Druid's time functions. They are expanded when a statement is bound, and with
// a constant pattern everything but the call of strftime or try_strptime folds away.
//
// Names that begin with drumlin_ are helpers. Timestamps have no zone and mean UTC.
func macros() []string {
	return []string{
		`CREATE MACRO drumlin_local(t, tz) AS (t AT TIME ZONE 'UTC') AT TIME ZONE tz`,
		`CREATE MACRO drumlin_utc(t, tz) AS (t AT TIME ZONE tz) AT TIME ZONE 'UTC'`,
		`CREATE MACRO drumlin_floor_or_from(t, p, o) AS
			CASE WHEN o IS NULL THEN drumlin_floor(t, p) ELSE drumlin_floor_from(t, p, o) END`,
		// Days and longer begin at local midnight; shorter periods keep the offset of the moment, so that the two hours
		// of a change back to winter time stay apart.
		`CREATE MACRO drumlin_floor_zone(t, p, o, tz) AS CASE
			WHEN drumlin_whole_days(p) THEN drumlin_utc(drumlin_floor_or_from(drumlin_local(t, tz), p, o), tz)
			ELSE drumlin_floor_or_from(drumlin_local(t, tz), p, o) - (drumlin_local(t, tz) - t) END`,
		`CREATE MACRO TIME_FLOOR
			(t, p) AS drumlin_floor(t::TIMESTAMP, p),
			(t, p, o) AS drumlin_floor_or_from(t::TIMESTAMP, p, o::TIMESTAMP),
			(t, p, o, tz) AS drumlin_floor_zone(t::TIMESTAMP, p, drumlin_local(o::TIMESTAMP, tz), tz)`,
		`CREATE MACRO MILLIS_TO_TIMESTAMP(ms) AS make_timestamp_ms(ms::BIGINT)`,
		`CREATE MACRO TIMESTAMP_TO_MILLIS(t) AS epoch_ms(t::TIMESTAMP)`,

		// What ISO 8601 allows, in the form that a cast reads; null where it is something else.
		`CREATE MACRO drumlin_iso(s) AS CASE
			WHEN regexp_full_match(s, '[0-9]{4}') THEN s || '-01-01'
			WHEN regexp_full_match(s, '[0-9]{4}-[0-9]{1,2}') THEN s || '-01'
			WHEN regexp_full_match(s, '[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}') THEN s
			WHEN regexp_full_match(s, '[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}T[0-9]{2}(:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?')
				THEN replace(regexp_replace(regexp_replace(s, 'T([0-9]{2})(Z|[+-].*)?$', 'T\1:00\2'),
					'T([0-9]{2}:[0-9]{2})(Z|[+-].*)?$', 'T\1:00\2'), ',', '.') END`,
		`CREATE MACRO drumlin_has_zone(s) AS regexp_matches(s, 'T.*(Z|[+-])')`,
		`CREATE MACRO TIME_PARSE
			(s) AS TRY_CAST(drumlin_iso(s) AS TIMESTAMPTZ) AT TIME ZONE 'UTC',
			(s, p) AS CASE WHEN p IS NULL THEN TRY_CAST(drumlin_iso(s) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
				ELSE try_strptime(s, drumlin_strptime_format(p))::TIMESTAMP END,
			(s, p, tz) AS CASE
				WHEN p IS NULL AND drumlin_has_zone(s) THEN TRY_CAST(drumlin_iso(s) AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
				WHEN p IS NULL THEN drumlin_utc(TRY_CAST(drumlin_iso(s) AS TIMESTAMP), tz)
				WHEN regexp_matches(drumlin_strptime_format(p), '%[zZ]')
					THEN try_strptime(s, drumlin_strptime_format(p))::TIMESTAMP
				ELSE drumlin_utc(try_strptime(s, drumlin_strptime_format(p))::TIMESTAMP, tz) END`,

		`CREATE MACRO drumlin_offset(minutes, colon) AS (CASE WHEN minutes < 0 THEN '-' ELSE '+' END) ||
			lpad((abs(minutes) // 60)::VARCHAR, 2, '0') || colon || lpad((abs(minutes) % 60)::VARCHAR, 2, '0')`,
		`CREATE MACRO drumlin_offset_minutes(t, tz) AS date_diff('minute', t, drumlin_local(t, tz))`,
		// Printing with a zone: chr(1), chr(2) and chr(3) mark where the offset and the zone's name go.
		`CREATE MACRO drumlin_format(t, p, tz) AS replace(replace(replace(
			strftime(drumlin_local(t, tz), drumlin_strftime_format(p)),
			chr(1), drumlin_offset(drumlin_offset_minutes(t, tz), '')),
			chr(2), drumlin_offset(drumlin_offset_minutes(t, tz), ':')), chr(3), tz)`,
		`CREATE MACRO drumlin_format_utc(t, p) AS strftime(t, replace(replace(replace(
			drumlin_strftime_format(p), chr(1), '+0000'), chr(2), '+00:00'), chr(3), 'UTC'))`,
		`CREATE MACRO TIME_FORMAT
			(t) AS strftime(t::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%gZ'),
			(t, p) AS CASE WHEN p IS NULL THEN strftime(t::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%gZ')
				ELSE drumlin_format_utc(t::TIMESTAMP, p) END,
			(t, p, tz) AS CASE
				WHEN p IS NOT NULL THEN drumlin_format(t::TIMESTAMP, p, tz)
				WHEN drumlin_offset_minutes(t::TIMESTAMP, tz) = 0 THEN strftime(t::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%gZ')
				ELSE drumlin_format(t::TIMESTAMP, 'yyyy-MM-dd''T''HH:mm:ss.SSSZZ', tz) END`,
	}
}
