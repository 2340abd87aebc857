package rollup

import (
	"fmt"

	"drumlin/segment"
)

// OverflowError: an aggregate is exact inside, but its final value does not fit the metric's type.
type OverflowError struct {
	Metric string
	Value  string // the exact value, in decimal
}

func (e *OverflowError) Error() string {
	return fmt.Sprintf("metric %s: the sum %s does not fit 64 bits: query it over fewer rows, or define it as doubleSum",
		e.Metric, e.Value)
}

// corrupt says what is wrong with a stored state.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: state: %s", segment.ErrCorrupt, fmt.Sprintf(format, args...))
}
