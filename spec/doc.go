// Package spec reads the user's supervisor spec: Druid's Kafka supervisor spec in YAML or JSON, with one addition,
// dedupSpec.
//
// It owns the vocabulary: one table (Fields, KafkaProperties) says of every field whether it is used, accepted without
// effect, or refused; the parser is driven by it and docs/spec.md shows it. It also owns what several packages must read
// alike: granularities, periods, time patterns, paths into JSON, topic patterns.
//
// It never looks at a catalog, a broker or the clock, and it does not compare a spec with an earlier one.
//
// Invariants: a Supervisor that Parse returns is valid and has every default filled in. Every problem of a spec is
// reported at once, each by its path. Parse(s.Canonical) gives an equal Supervisor. No text that the package makes for
// people (problems, warnings, String, RedactedSpec) holds the value of a Kafka property that might be a secret.
package spec
