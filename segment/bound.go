package segment

import (
	"encoding/json"
	"fmt"
	"math"
)

// JSON knows no infinite numbers: a bound that is one stands as one of these texts.
const (
	positiveInfinity = "Infinity"
	negativeInfinity = "-Infinity"
)

// MarshalJSON writes the one field that is set.
func (b Bound) MarshalJSON() ([]byte, error) {
	type finite Bound
	if b.Double == nil || !math.IsInf(*b.Double, 0) {
		return json.Marshal(finite(b))
	}
	text := positiveInfinity
	if *b.Double < 0 {
		text = negativeInfinity
	}
	return json.Marshal(map[string]string{"d": text})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *Bound) UnmarshalJSON(data []byte) error {
	var raw struct {
		Long   *int64          `json:"l"`
		Double json.RawMessage `json:"d"`
		String *string         `json:"s"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*b = Bound{Long: raw.Long, String: raw.String}
	switch string(raw.Double) {
	case "", "null":
		return nil
	case `"` + positiveInfinity + `"`:
		v := math.Inf(1)
		b.Double = &v
	case `"` + negativeInfinity + `"`:
		v := math.Inf(-1)
		b.Double = &v
	default:
		if err := json.Unmarshal(raw.Double, &b.Double); err != nil {
			return fmt.Errorf("bound of a double: %w", err)
		}
	}
	return nil
}
