// Package producer writes records from a source to a Kafka topic, as fast as the brokers acknowledge them or at a given
// rate. It owns its client for the length of one call. It never retries what the client gave up on: it stops and says
// how many records were acknowledged.
package producer
