// Package harness runs the real drumlin binary for tests: it starts it on free loopback ports, asks it over HTTP, writes
// to its broker, kills it and starts it again. It knows the product only from outside.
package harness
