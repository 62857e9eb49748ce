package pki

import (
	"errors"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/observe"
)

// TestRenewed: a certificate is made anew after two thirds of its life, and again a minute after that failed.
func TestRenewed(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	authority, err := Open(t.TempDir(), clock)
	if err != nil {
		t.Fatal(err)
	}
	made, broken := 0, false
	r, err := NewRenewed("me", func() (Identity, error) {
		made++
		if broken {
			return Identity{}, errors.New("broken")
		}
		return authority.Client("me")
	}, clock, observe.Discard())
	if err != nil {
		t.Fatal(err)
	}
	first, began := r.Certificate(), clock.Now()
	after := func(what string, pass time.Duration, wantMade int, wantNew bool) {
		t.Helper()
		clock.SetTime(clock.Now().Add(pass))
		if got := r.Certificate(); made != wantMade || (got != first) != wantNew {
			t.Errorf("%s: made %d times, new %t; want %d times, %t", what, made, got != first, wantMade, wantNew)
		}
	}
	broken = true
	after("at once", 0, 1, false)
	after("a second before two thirds", leafLife*2/3-backdate/3-time.Second, 1, false)
	after("after two thirds", time.Second, 2, false)
	after("soon after", renewRetry-time.Second, 2, false)
	broken = false
	after("a minute after", time.Second, 3, true)
	after("then", time.Hour, 3, true)
	if left := r.Expires().Sub(began); left < leafLife*3/2 {
		t.Errorf("the new one ends %v after the first began", left)
	}
}
