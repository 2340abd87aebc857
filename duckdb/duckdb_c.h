/* The few functions of DuckDB's C API that this package calls from C. They are declared here because the library's own
 * header cannot be reached from this package; handles are opaque pointers, so nothing depends on their layout. */
#ifndef DRUMLIN_DUCKDB_C_H
#define DRUMLIN_DUCKDB_C_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t idx_t;
typedef void *duckdb_handle; /* connection, table function, type, value, vector, chunk, …: always a pointer */
typedef int duckdb_status;   /* 0: success */
typedef void (*duckdb_destroy_fn)(void *data);

enum {
	DUCKDB_T_BOOLEAN = 1,
	DUCKDB_T_INTEGER = 4,
	DUCKDB_T_BIGINT = 5,
	DUCKDB_T_FLOAT = 10,
	DUCKDB_T_DOUBLE = 11,
	DUCKDB_T_TIMESTAMP = 12,
	DUCKDB_T_HUGEINT = 16,
	DUCKDB_T_VARCHAR = 17,
	DUCKDB_T_BLOB = 18,
};

duckdb_handle duckdb_create_logical_type(int type);
void duckdb_destroy_logical_type(duckdb_handle *type);
int64_t duckdb_get_int64(duckdb_handle value);
bool duckdb_is_null_value(duckdb_handle value);
void duckdb_destroy_value(duckdb_handle *value);

duckdb_handle duckdb_create_table_function(void);
void duckdb_destroy_table_function(duckdb_handle *function);
void duckdb_table_function_set_name(duckdb_handle function, const char *name);
void duckdb_table_function_add_parameter(duckdb_handle function, duckdb_handle type);
void duckdb_table_function_add_named_parameter(duckdb_handle function, const char *name, duckdb_handle type);
void duckdb_table_function_set_extra_info(duckdb_handle function, void *extra, duckdb_destroy_fn destroy);
void duckdb_table_function_set_bind(duckdb_handle function, void (*bind)(duckdb_handle info));
void duckdb_table_function_set_init(duckdb_handle function, void (*init)(duckdb_handle info));
void duckdb_table_function_set_function(duckdb_handle function, void (*scan)(duckdb_handle info, duckdb_handle chunk));
void duckdb_table_function_supports_projection_pushdown(duckdb_handle function, bool pushdown);
duckdb_status duckdb_register_table_function(duckdb_handle connection, duckdb_handle function);
void duckdb_table_function_get_client_context(duckdb_handle bind_info, duckdb_handle *context);
idx_t duckdb_client_context_get_connection_id(duckdb_handle context);
void duckdb_destroy_client_context(duckdb_handle *context);

void *duckdb_bind_get_extra_info(duckdb_handle info);
void duckdb_bind_add_result_column(duckdb_handle info, const char *name, duckdb_handle type);
duckdb_handle duckdb_bind_get_parameter(duckdb_handle info, idx_t index);
duckdb_handle duckdb_bind_get_named_parameter(duckdb_handle info, const char *name);
void duckdb_bind_set_bind_data(duckdb_handle info, void *data, duckdb_destroy_fn destroy);
void duckdb_bind_set_cardinality(duckdb_handle info, idx_t cardinality, bool exact);
void duckdb_bind_set_error(duckdb_handle info, const char *error);

void *duckdb_init_get_bind_data(duckdb_handle info);
void duckdb_init_set_init_data(duckdb_handle info, void *data, duckdb_destroy_fn destroy);
idx_t duckdb_init_get_column_count(duckdb_handle info);
idx_t duckdb_init_get_column_index(duckdb_handle info, idx_t column);
void duckdb_init_set_max_threads(duckdb_handle info, idx_t max_threads);
void duckdb_init_set_error(duckdb_handle info, const char *error);

void *duckdb_function_get_init_data(duckdb_handle info);
void duckdb_function_set_error(duckdb_handle info, const char *error);

duckdb_handle duckdb_data_chunk_get_vector(duckdb_handle chunk, idx_t column);
idx_t duckdb_data_chunk_get_size(duckdb_handle chunk);
void duckdb_data_chunk_set_size(duckdb_handle chunk, idx_t rows);
void *duckdb_vector_get_data(duckdb_handle vector);
uint64_t *duckdb_vector_get_validity(duckdb_handle vector);
void duckdb_vector_ensure_validity_writable(duckdb_handle vector);
void duckdb_vector_assign_string_element_len(duckdb_handle vector, idx_t row, const char *text, idx_t bytes);

duckdb_handle duckdb_create_scalar_function(void);
void duckdb_destroy_scalar_function(duckdb_handle *function);
void duckdb_scalar_function_set_name(duckdb_handle function, const char *name);
void duckdb_scalar_function_add_parameter(duckdb_handle function, duckdb_handle type);
void duckdb_scalar_function_set_return_type(duckdb_handle function, duckdb_handle type);
void duckdb_scalar_function_set_function(duckdb_handle function,
                                         void (*call)(duckdb_handle info, duckdb_handle input, duckdb_handle output));
void duckdb_scalar_function_set_error(duckdb_handle info, const char *error);
duckdb_status duckdb_register_scalar_function(duckdb_handle connection, duckdb_handle function);

void duckdb_scalar_function_set_special_handling(duckdb_handle function);
void duckdb_scalar_function_set_extra_info(duckdb_handle function, void *extra, duckdb_destroy_fn destroy);
void *duckdb_scalar_function_get_extra_info(duckdb_handle info);

duckdb_handle duckdb_create_aggregate_function(void);
void duckdb_destroy_aggregate_function(duckdb_handle *function);
void duckdb_aggregate_function_set_name(duckdb_handle function, const char *name);
void duckdb_aggregate_function_add_parameter(duckdb_handle function, duckdb_handle type);
void duckdb_aggregate_function_set_return_type(duckdb_handle function, duckdb_handle type);
void duckdb_aggregate_function_set_functions(duckdb_handle function, idx_t (*state_size)(duckdb_handle info),
                                             void (*init)(duckdb_handle info, void *state),
                                             void (*update)(duckdb_handle info, duckdb_handle input, void **states),
                                             void (*combine)(duckdb_handle info, void **sources, void **targets, idx_t count),
                                             void (*finalize)(duckdb_handle info, void **states, duckdb_handle result,
                                                              idx_t count, idx_t offset));
void duckdb_aggregate_function_set_destructor(duckdb_handle function, void (*destroy)(void **states, idx_t count));
void duckdb_aggregate_function_set_special_handling(duckdb_handle function);
void duckdb_aggregate_function_set_extra_info(duckdb_handle function, void *extra, duckdb_destroy_fn destroy);
void *duckdb_aggregate_function_get_extra_info(duckdb_handle info);
void duckdb_aggregate_function_set_error(duckdb_handle info, const char *error);
duckdb_handle duckdb_create_aggregate_function_set(const char *name);
void duckdb_destroy_aggregate_function_set(duckdb_handle *set);
duckdb_status duckdb_add_aggregate_function_to_set(duckdb_handle set, duckdb_handle function);
duckdb_status duckdb_register_aggregate_function_set(duckdb_handle connection, duckdb_handle set);

/* A string as it stands in a vector: up to 12 bytes in place, else the first four and a pointer to all of them. */
typedef union {
	struct {
		uint32_t length;
		char prefix[4];
		const char *pointer;
	} outside;
	struct {
		uint32_t length;
		char bytes[12];
	} inside;
} dr_string;

/* Registers a scalar function; parameters end with 0. 0: success. */
typedef void (*dr_scalar_fn)(duckdb_handle info, duckdb_handle input, duckdb_handle output);
int dr_register_scalar(void *connection, const char *name, const int *parameters, int result, dr_scalar_fn call);

#endif
