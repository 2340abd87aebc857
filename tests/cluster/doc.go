// Package cluster tests drumlin as separate processes over Apache Kafka, etcd and an S3 server: answers against the oracle,
// ownership as processes come and go, and what other tools see. `make test-e2e` runs it; harness.Cluster starts and breaks
// things, and its documentation begins with a test to copy.
package cluster
