// Package kafkaprops turns the properties of a Java Kafka client into options of a franz-go client, so that what people
// have for their other clients works as it is: brokers, TLS with PEM stores, SASL PLAIN and SCRAM, client id and rack.
//
// It reads properties and the files that they name, through a reader of its caller's choice. It never connects, and
// never decides which properties a client gets, but for Merge.
//
// Invariants:
//   - a property is used (where security.protocol asks for it), or listed by Ignored, or refused by its name: none is dropped silently;
//   - nothing that would read other records, or connect less safely than asked, is ignored;
//   - no error holds the value of a property that may be a secret.
package kafkaprops
