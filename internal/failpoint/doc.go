// Package failpoint names places in the protocols where a test can make the process stop or fail. Points are compiled
// into every build and do nothing unless armed; a nil *Set is never armed.
package failpoint
