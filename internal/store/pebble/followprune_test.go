package pebble

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/storetest"
)

// TestCompactBesideAFollowerThatBegins lets history be cut while a follower takes its place: it is refused, or gets everything.
func TestCompactBesideAFollowerThatBegins(t *testing.T) {
	l := mustOpen(t, Options{Dir: "log", FS: vfs.NewMem()})
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for {
			if err := l.Compact(ctx, l.durable()); err != nil && !errors.Is(err, store.ErrFuture) {
				ended <- err
				return
			}
		}
	}()
	enough := errors.New("enough")
	expired := 0
	for i := range 3000 {
		after := l.durable()
		var last store.Revision
		for range 3 {
			revs, err := l.Append(t.Context(), change(fmt.Sprint("k", i%5), "v"))
			if err != nil {
				t.Fatal(err)
			}
			last = revs[0]
		}
		next := after
		err := l.Follow(t.Context(), after, storetest.Apply(func(txn []store.Record) error {
			if next++; txn[0].Revision != next {
				t.Errorf("record %d follows %d", txn[0].Revision, next-1)
			}
			if next == last {
				return enough
			}
			return nil
		}))
		switch {
		case errors.Is(err, store.ErrExpired):
			expired++
		case !errors.Is(err, enough):
			t.Fatalf("round %d, %d were expired: follow after %d: %v", i, expired, after, err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("compact: %v", err)
	}
	t.Logf("%d followers were refused", expired)
}
