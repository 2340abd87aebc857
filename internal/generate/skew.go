package generate

import "math/rand/v2"

// skewed draws numbers from 0 to n−1, of which i has the weight 1/(i+1): Zipf's law with exponent 1. It is Walker's alias
// method, so that a draw takes constant time.
type skewed struct {
	keep  []uint32 // of 2^32: the chance that the drawn slot stands for itself
	alias []uint32 // what it stands for otherwise
}

func newSkewed(n int) *skewed {
	weights := make([]float64, n)
	sum := 0.0
	for i := range weights {
		weights[i] = 1 / float64(i+1)
		sum += weights[i]
	}
	s := &skewed{keep: make([]uint32, n), alias: make([]uint32, n)}
	var small, large []int
	for i := range weights {
		weights[i] = weights[i] / sum * float64(n)
		if weights[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	const whole = 1<<32 - 1
	for len(small) > 0 && len(large) > 0 {
		a, b := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		s.keep[a], s.alias[a] = uint32(weights[a]*whole), uint32(b)
		weights[b] -= 1 - weights[a]
		if weights[b] < 1 {
			large = large[:len(large)-1]
			small = append(small, b)
		}
	}
	for _, i := range append(small, large...) {
		s.keep[i], s.alias[i] = whole, uint32(i)
	}
	return s
}

func (s *skewed) draw(rng *rand.PCG) int {
	r := rng.Uint64()
	i := (r >> 32) * uint64(len(s.keep)) >> 32
	if uint32(r) <= s.keep[i] {
		return int(i)
	}
	return int(s.alias[i])
}
