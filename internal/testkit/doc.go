// Package testkit holds what tests of several packages share. It is imported by tests only.
package testkit
