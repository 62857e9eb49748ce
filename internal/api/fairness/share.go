package fairness

import (
	"fmt"
	"slices"
)

// want is what a level would have of the server's seats: target in proportion to the others', within its bounds.
type want struct {
	lower, upper, target float64 // 0 <= lower <= target, lower <= upper
}

const (
	leastTarget = 0.001 // so that proportions to it exist
	roundOff    = 1e-7
)

// share splits sum so that each gets the same proportion of its target, but no less than lower and no more than upper. There is one such proportion: what all
// get together rises with it, along straight lines between the proportions at which somebody reaches a bound.
func share(sum float64, wants []want) (parts []float64, proportion float64, err error) {
	var low, high float64
	corners := make([]float64, 0, 2*len(wants))
	for _, w := range wants {
		low, high = low+w.lower, high+w.upper
		target := max(w.target, leastTarget)
		corners = append(corners, w.lower/target, w.upper/target)
	}
	switch {
	case low-sum > roundOff:
		return nil, 0, fmt.Errorf("%v seats are to be shared, and %v are held", sum, low)
	case sum-high > roundOff:
		return nil, 0, fmt.Errorf("%v seats are to be shared, and %v may be taken", sum, high)
	}
	slices.Sort(corners)
	proportion = corners[len(corners)-1]
	below, got := 0.0, low
	for _, corner := range corners {
		more := total(wants, corner)
		if more >= sum {
			proportion = corner
			if more > got {
				proportion = below + (sum-got)/(more-got)*(corner-below)
			}
			break
		}
		below, got = corner, more
	}
	for _, w := range wants {
		parts = append(parts, w.at(proportion))
	}
	return parts, proportion, nil
}

func (w want) at(proportion float64) float64 {
	return max(w.lower, min(w.upper, proportion*max(w.target, leastTarget)))
}

func total(wants []want, proportion float64) (sum float64) {
	for _, w := range wants {
		sum += w.at(proportion)
	}
	return sum
}
