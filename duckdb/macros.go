package duckdb

// macros returns the statements that define Druid's time functions.
func macros() []string {
	return nil
}
