package store_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/pebble"
	"github.com/floe-k8s/floe/internal/store/storetest"
)

// TestLaw2 is the law of revisions, lists and watches under all that disturbs them; see storetest.Law2.
func TestLaw2(t *testing.T) {
	storetest.Law2(t, func(*testing.T) storetest.Place { return place(0) }, storetest.Size{Rounds: lawRounds, Writes: 60})
}

// place is a log in memory whose revisions begin above base.
func place(base store.Revision) storetest.Place {
	clk := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	opts := pebble.Options{Dir: "log", FS: vfs.NewMem(), Clock: clk, Base: base}
	return storetest.Place{
		Open: func() (store.Log, error) {
			log, err := pebble.Open(opts)
			if err != nil {
				return nil, err
			}
			return log, nil
		},
		Clock:    clk,
		Advance:  func(by time.Duration) { clk.Step(by) },
		Restored: func(_ *testing.T, base store.Revision) storetest.Place { return place(base) },
	}
}
