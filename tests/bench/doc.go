// Package bench measures the steps of a record's life, each beside its floor: the least that anybody could do for the same
// end. Steps and floors take turns in one run, and what is reported is their ratio with its spread, since absolute times
// say more about the machine and its other users than about the code.
//
//	make bench
//
// Reported for each step:
//
//	x-NAME        median over the rounds of (time of the step ÷ time of the floor NAME); below 1 the step is faster
//	x-NAME-low    the lowest quarter of these ratios ends here
//	x-NAME-high   the highest quarter begins here
//	cpu-NAME      processor time of the step ÷ that of the floor, all rounds together
//	krow/s        rows of the step per second, for orientation only
//
// ns/op is a whole round: the step and all its floors. A test runs every step once with few rows and compares what steps and
// floors find, so that they cannot rot. Nothing here passes or fails by time.
package bench
