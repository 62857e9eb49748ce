package fairness

import (
	"math"
	"math/rand"
	"testing"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		name       string
		sum        float64
		wants      []want
		parts      []float64
		proportion float64
		fails      bool
	}{
		{"even", 10, []want{{0, 10, 5}, {0, 10, 5}}, []float64{5, 5}, 1, false},
		{"more than wanted", 20, []want{{0, 20, 5}, {0, 20, 15}}, []float64{5, 15}, 1, false},
		{"a floor", 10, []want{{8, 10, 8}, {0, 10, 8}}, []float64{8, 2}, 0.25, false},
		{"a ceiling", 10, []want{{0, 2, 5}, {0, 10, 5}}, []float64{2, 8}, 1.6, false},
		{"nothing wanted", 10, []want{{0, 10, 0}, {0, 10, 0}}, []float64{5, 5}, 5000, false},
		{"no room below", 3, []want{{2, 3, 2}, {2, 3, 2}}, nil, 0, true},
		{"no room above", 9, []want{{2, 3, 2}, {2, 3, 2}}, nil, 0, true},
	} {
		parts, proportion, err := share(c.sum, c.wants)
		if (err != nil) != c.fails || err == nil && math.Abs(proportion-c.proportion) > 1e-6 {
			t.Errorf("%s: got %v, %v, %v", c.name, parts, proportion, err)
		}
		for i := range c.parts {
			if len(parts) != len(c.parts) || math.Abs(parts[i]-c.parts[i]) > 1e-6 {
				t.Errorf("%s: got %v, want %v", c.name, parts, c.parts)
				break
			}
		}
	}
}

// TestShareLaws: all is given, nobody beyond his bounds, and who is at none of them has the proportion.
func TestShareLaws(t *testing.T) {
	random := rand.New(rand.NewSource(7))
	for range 2000 {
		var wants []want
		low, high := 0.0, 0.0
		for range 1 + random.Intn(6) {
			w := want{lower: float64(random.Intn(20))}
			w.upper = w.lower + float64(random.Intn(50))
			w.target = w.lower + float64(random.Intn(40))
			wants, low, high = append(wants, w), low+w.lower, high+w.upper
		}
		sum := math.Floor(low + random.Float64()*(high-low))
		parts, proportion, err := share(sum, wants)
		if err != nil {
			t.Fatal(wants, sum, err)
		}
		got := 0.0
		for i, w := range wants {
			got += parts[i]
			if parts[i] < w.lower || parts[i] > w.upper || parts[i] > w.lower && parts[i] < w.upper && math.Abs(parts[i]-proportion*max(w.target, leastTarget)) > 1e-6 {
				t.Fatalf("%v of %v: part %d is %v with proportion %v", sum, wants, i, parts[i], proportion)
			}
		}
		if math.Abs(got-sum) > 1e-6 {
			t.Fatalf("%v of %v: %v were given", sum, wants, got)
		}
	}
}
