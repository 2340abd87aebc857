// Package devbroker runs the Kafka-protocol broker that is embedded in drumlin dev. It keeps its log in a directory that
// survives a restart and a kill -9 of the process. It is one broker without replication, and it does not sync each
// batch to disk (as Kafka does not by default): a power failure may lose the last seconds.
//
// A topic that a client names first in a metadata request is created in full, and written down, before the request is
// answered: left to the broker, such a topic would be forgotten by a kill, with every record acknowledged in it.
package devbroker
