// Package kafka holds tests that need Apache Kafka itself: what the embedded broker cannot show. A partition's worker runs
// in this process, over a catalog and objects in memory, against a broker of its own.
package kafka
