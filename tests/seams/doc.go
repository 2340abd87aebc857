// Package seams holds several nodes in one process against a log that it keeps: real consumers, coordinators, peers and query
// engines over one broker, one catalog and one object store, while each node's way to the latter two is cut off,
// loses replies, or does what it was asked for late. Every answer is compared with the log at the answer's own cut.
//
// It owns the faults and the comparison. It never looks into the parts: what it knows of them is what they answer.
package seams
