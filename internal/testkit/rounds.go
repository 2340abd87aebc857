package testkit

import "testing"

// Rounds is how many rounds a test goes: all of them, or a few under -short. That is how the race detector is run: a round takes
// ten times as long under it, and it is there for the orders in which goroutines meet, not for rare seeds.
func Rounds(all, short int) int {
	if testing.Short() {
		return short
	}
	return all
}
