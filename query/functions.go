package query

import "strings"

func setOf(words ...string) map[string]bool {
	out := map[string]bool{}
	for _, w := range words {
		for _, name := range strings.Fields(w) {
			out[name] = true
		}
	}
	return out
}

var (
	allowedTableFunctions = setOf("unnest range generate_series")

	// allowedPlainNodes are the types of nodes without a class that hold nothing but expressions.
	allowedPlainNodes = setOf("ORDER_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER DISTINCT_MODIFIER",
		"ASCENDING DESCENDING ORDER_DEFAULT") // an order's direction stands under "type"

	allowedClasses = setOf("BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT DEFAULT FUNCTION LAMBDA",
		"LAMBDA_REF OPERATOR PARAMETER POSITIONAL_REFERENCE STAR SUBQUERY WINDOW")

	// allowedFunctions compute on their arguments alone. They are those of DuckDB's functions, reviewed by category,
	// that reach no file, network, setting, variable, other database, or state of the server, and do not only wait.
	allowedFunctions = setOf(
		arithmeticFunctions, textFunctions, timeFunctions, listFunctions, nestedFunctions, jsonFunctions,
		aggregateFunctions, otherFunctions, druidFunctions, sketchFunctions)
)

const (
	arithmeticFunctions = `!__postfix % & * ** + - / // << >> @ ^ | ~ abs acos acosh add asin asinh atan atan2 atanh bit_count
		cbrt ceil ceiling cos cosh cot degrees divide even exp factorial fdiv floor fmod gamma gcd geomean geometric_mean
		greatest greatest_common_divisor isfinite isinf isnan lcm least least_common_multiple lgamma ln log log10 log2 mod
		multiply nextafter pi pow power radians random round round_even roundbankers sign signbit sin sinh sqrt subtract tan
		tanh trunc xor`
	textFunctions = `!~~ !~~* ^@ && ~~ ~~* ~~~ || array_to_string array_to_string_comma_default ascii bar base64 bin bit_length
		bit_position bitstring char_length character_length chr concat concat_ws contains damerau_levenshtein decode editdist3
		encode ends_with format formatReadableDecimalSize formatReadableSize format_bytes formatreadabledecimalsize
		formatreadablesize from_base64 from_binary from_hex get_bit hamming hash hex ilike_escape instr jaccard jaro_similarity
		jaro_winkler_similarity lcase left left_grapheme len length length_grapheme levenshtein like_escape lower lpad ltrim
		md5 md5_number md5_number_lower md5_number_upper mismatches nfc_normalize not_ilike_escape not_like_escape
		octet_length ord parse_dirname parse_dirpath parse_filename parse_formatted_bytes parse_path position
		prefix printf regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace
		regexp_split_to_array repeat replace reverse right right_grapheme rpad rtrim set_bit sha1 sha256 split split_part
		starts_with str_split str_split_regex string_split string_split_regex string_to_array strip_accents strlen strpos
		substr substring substring_grapheme suffix to_base to_base64 to_binary to_hex translate trim ucase unbin unhex
		unicode upper url_decode url_encode`
	timeFunctions = `age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part
		date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month
		decade epoch epoch_ms epoch_ns epoch_us era get_current_time get_current_timestamp hour isodow isoyear julian last_day
		make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium
		millisecond minute month monthname nanosecond normalized_interval now quarter second strftime strptime time_bucket
		timezone timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia
		to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today
		transaction_timestamp try_strptime week weekday weekofyear year yearweek`
	listFunctions = `<-> <=> <@ @> aggregate apply array_aggr array_aggregate array_append array_apply array_cat array_concat
		array_contains array_cosine_distance array_cosine_similarity array_cross_product array_distance array_distinct
		array_dot_product array_extract array_filter array_grade_up array_has array_has_all array_has_any array_indexof
		array_inner_product array_intersect array_length array_negative_dot_product array_negative_inner_product
		array_pop_back array_pop_front array_position array_prepend array_push_back array_push_front array_reduce
		array_resize array_reverse array_reverse_sort array_select array_slice array_sort array_transform array_unique
		array_value array_where array_zip filter flatten generate_series generate_subscripts grade_up list_aggr
		list_aggregate list_any_value list_append list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or
		list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance
		list_cosine_similarity list_count list_distance list_distinct list_dot_product list_element list_entropy list_extract
		list_filter list_first list_grade_up list_has list_has_all list_has_any list_histogram list_indexof
		list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median list_min
		list_mode list_negative_dot_product list_negative_inner_product list_pack list_position list_prepend list_product
		list_reduce list_resize list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort
		list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
		list_var_samp list_where list_zip range reduce unnest unpivot_list`
	nestedFunctions = `array_to_json cardinality element_at enum_code enum_first enum_last enum_range enum_range_boundary map
		map_concat map_contains map_contains_entry map_contains_value map_entries map_extract map_extract_value
		map_from_entries map_keys map_values row row_to_json struct_concat struct_contains struct_extract struct_extract_at
		struct_has struct_indexof struct_insert struct_keys struct_pack struct_position struct_update struct_values
		union_extract union_tag union_value`
	jsonFunctions = `->> from_json from_json_strict json json_array json_array_length json_contains json_exists json_extract
		json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object json_group_structure
		json_keys json_merge_patch json_object json_pretty json_quote json_structure json_transform json_transform_strict
		json_type json_valid json_value to_json`
	aggregateFunctions = `any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null
		arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or bit_xor
		bitstring_agg bool_and bool_or corr count count_if count_star countif covar_pop covar_samp cume_dist dense_rank
		entropy equi_width_bins favg fill first first_value fsum group_concat histogram histogram_exact
		is_histogram_other_bin kahan_sum kurtosis kurtosis_pop lag last last_value lead list listagg mad max max_by mean
		median min min_by mode nth_value ntile percent_rank product quantile quantile_cont quantile_disc rank rank_dense
		regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile
		row_number sem skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop var_samp
		variance wavg weighted_avg`
	otherFunctions = `alias constant_or_null error gen_random_uuid nullif switch typeof uuid uuid_extract_timestamp
		uuid_extract_version uuidv4 uuidv7 version`
	// druidFunctions are the macros that the engine adds under Druid's names.
	druidFunctions = `time_floor time_parse time_format millis_to_timestamp timestamp_to_millis`
	// sketchFunctions read and make the sketches of rolled-up rows.
	sketchFunctions = `approx_count_distinct_ds_hll approx_quantile_ds ds_hll ds_quantiles_sketch hll_sketch_estimate
		ds_get_quantile`
)

// deniedFunctions have been looked at and stay closed: they read settings, variables or the state of the server, wait,
// write, run SQL from text, answer for PostgreSQL's clients, or serve DuckDB itself only.
var (
	deniedFunctions = setOf(`can_cast_implicitly cast_to_type col_description combine create_sort_key current_catalog
		current_connection_id current_database current_query current_query_id current_role current_schema current_schemas
		current_setting current_transaction_id current_user currval finalize format_pg_type format_type get_block_size
		get_type getvariable in_search_path json_deserialize_sql json_serialize_plan json_serialize_sql make_type
		map_to_pg_oid nextval obj_description parse_duckdb_log_message pg_sleep regexp_split_to_table remap_struct
		replace_type session_user setseed shobj_description sleep_ms stats timetz_byte_comparable txid_current user
		variant_bytes_to_variant variant_extract variant_normalize variant_to_parquet_variant variant_typeof vector_type
		write_log`)
	deniedFunctionPrefixes = []string{"__internal_", "icu_", "has_", "pg_", "inet_", "st_", "drumlin_", internalPrefix}
)

// checkFunction admits a scalar, aggregate or window function by its name in lower case.
func checkFunction(name string) *Error {
	if allowedFunctions[name] {
		return nil
	}
	if functionDenied(name) {
		return newError(Forbidden, "functions may use their arguments only", "the function %s cannot be used in a query", name)
	}
	names := make([]string, 0, len(allowedFunctions))
	for n := range allowedFunctions {
		names = append(names, n)
	}
	near := nearestNames(name, names)
	e := newError(Invalid, didYouMean(near), "the function %s is not known", name)
	e.Names = near
	return e
}

func functionDenied(name string) bool {
	if deniedFunctions[name] {
		return true
	}
	for _, p := range deniedFunctionPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
