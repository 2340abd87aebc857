// Package spec reads what users write, in YAML or JSON: the supervisor spec, which is Druid's with one addition, dedupSpec;
// tasks in Druid's three generations; auto-compaction configs; retention rules.
//
// It owns the vocabularies: one table each (Fields, KafkaProperties, CompactFields, …) says of every field whether it is
// used, accepted without effect, or refused; the parsers are driven by them and docs/spec.md shows them. It also owns what
// several packages must read alike: granularities, periods, intervals, time patterns, paths into JSON, topic patterns.
//
// It never looks at a catalog, a broker or the clock, and it does not compare a spec with an earlier one or with what is
// stored. How YAML and JSON are read is strictyaml's; what metrics, transforms and filters mean is the rollup package's: here
// they are kept as JSON.
//
// Invariants: what a parser returns is valid and has every default filled in. Every problem of a text is reported at once,
// each by its path. Parsing the canonical form gives an equal value (of rules: their JSON). No text that the package makes for
// people (problems, warnings, String, RedactedSpec) holds the value of a Kafka property that might be a secret.
package spec
