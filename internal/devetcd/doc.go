// Package devetcd runs the etcd server that is embedded in drumlin dev: one member on loopback, on free ports, with its
// data in a directory that survives a restart and a kill -9.
package devetcd
