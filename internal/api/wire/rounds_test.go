package wire

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
)

// TestRoundsWakeAllTogether: one who comes while others rest goes on with them, and a stream of newcomers holds nobody for ever.
func TestRoundsWakeAllTogether(t *testing.T) {
	for name, test := range map[string]struct {
		gaps []time.Duration // from one to the next who rests
		want time.Duration   // from the first one's rest to its end
	}{
		"alone":                 {nil, beat},
		"at once":               {[]time.Duration{0, 0, 0}, 2 * beat},
		"one after another":     {[]time.Duration{beat / 2, beat}, 3 * beat},
		"more than can be held": {[]time.Duration{beat / 2, beat, beat, beat - 1}, mostBeats * beat},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r rounds
				var all sync.WaitGroup
				began := time.Now()
				rest := func() {
					r.rest(t.Context(), clock.RealClock{})
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
		all.Go(func() { r.rest(led, clock.RealClock{}) })
		synctest.Wait()
		all.Go(func() { r.rest(t.Context(), clock.RealClock{}) })
		synctest.Wait()
		cancel()
		all.Wait()
		if got := time.Since(began); got != 0 {
			t.Errorf("those without a leader rested for %v", got)
		}
		r.rest(t.Context(), clock.RealClock{})
		if got := time.Since(began); got != beat {
			t.Errorf("a later one rested for %v, want %v", got, beat)
		}
	})
}
