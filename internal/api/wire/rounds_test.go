package wire

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
)

// TestRoundsWakeAllTogether: one who comes while others rest goes on with them, and newcomers hold nobody up.
func TestRoundsWakeAllTogether(t *testing.T) {
	const many = 1000 * crowd
	small := crowd * restEach
	for name, test := range map[string]struct {
		readers int
		gaps    []time.Duration // from one to the next who rests
		want    time.Duration   // from the first one's rest to its end
	}{
		"alone":             {crowd, nil, small},
		"at once":           {crowd, []time.Duration{0, 0, 0}, small},
		"one after another": {crowd, []time.Duration{small / 2, small/2 - 1}, small},
		"a larger crowd":    {2 * crowd, []time.Duration{small}, 2 * small},
		"the largest crowd": {many, []time.Duration{small}, mostRest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r rounds
				var all sync.WaitGroup
				began := time.Now()
				rest := func() {
					r.rest(t.Context(), clock.RealClock{}, test.readers)
					if got := time.Since(began); got != test.want {
						t.Errorf("rested for %v, want %v", got, test.want)
					}
				}
				all.Go(rest)
				synctest.Wait()
				for _, gap := range test.gaps {
					time.Sleep(gap)
					all.Go(rest)
				}
				all.Wait()
			})
		})
	}
}

// TestRoundsSurviveTheirLeader: when the first one's call ends, the others go on at once, and later ones rest again.
func TestRoundsSurviveTheirLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rounds
		var all sync.WaitGroup
		led, cancel := context.WithCancel(t.Context())
		began := time.Now()
		all.Go(func() { r.rest(led, clock.RealClock{}, crowd) })
		synctest.Wait()
		all.Go(func() { r.rest(t.Context(), clock.RealClock{}, crowd) })
		synctest.Wait()
		cancel()
		all.Wait()
		if got := time.Since(began); got != 0 {
			t.Errorf("those without a leader rested for %v", got)
		}
		r.rest(t.Context(), clock.RealClock{}, crowd)
		if got := time.Since(began); got != crowd*restEach {
			t.Errorf("a later one rested for %v, want %v", got, crowd*restEach)
		}
	})
}
