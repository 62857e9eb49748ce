package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/store"
)

// part is the part of a log that a remote component would see: some keys, in transactions that may lack others, and word of revisions that
// are not its own. lost makes Follow say once that what comes next is no longer kept.
type part struct {
	store.Log
	prefix string
	lost   chan struct{}
}

func (p *part) mine(r store.Record) bool { return strings.HasPrefix(r.Key, p.prefix) }

func (p *part) Load(ctx context.Context, each func(store.Record) error) (store.Revision, error) {
	return p.Log.Load(ctx, func(r store.Record) error {
		if !p.mine(r) {
			return nil
		}
		return each(r)
	})
}

func (p *part) Recent(_ context.Context, upTo store.Revision, _ store.Window, _ func(_, _ store.Record) error) (store.Revision, error) {
	return upTo, nil
}

func (p *part) Follow(ctx context.Context, after store.Revision, f store.Follower) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.lost:
			cancel(store.ErrExpired)
		case <-ctx.Done():
		}
	}()
	err := p.Log.Follow(ctx, after, partFollower{p, f})
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

type partFollower struct {
	part *part
	store.Follower
}

func (f partFollower) Apply(txns ...[]store.Record) error {
	for _, txn := range txns {
		var mine []store.Record
		for _, r := range txn {
			if f.part.mine(r) {
				mine = append(mine, r)
			}
		}
		if len(mine) > 0 {
			if err := f.Follower.Apply(mine); err != nil {
				return err
			}
		}
		f.Follower.Reached(txn[len(txn)-1].Revision)
	}
	return nil
}

func appendTo(t *testing.T, log store.Log, key, value string) store.Revision {
	t.Helper()
	revs, err := log.Append(t.Context(), store.Txn{Changes: []store.Change{{Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	return revs[0]
}

// TestPartialTable holds a part of a log: it shows that part, waits for revisions that are others', and when it has lost its place loads
// again by difference, so that what did not change stays the same item.
func TestPartialTable(t *testing.T) {
	whole := openLog(t, inMemory())
	source := &part{Log: whole, prefix: prefix, lost: make(chan struct{})}
	appendTo(t, whole, "/registry/secrets/s", "hidden")
	appendTo(t, whole, prefix+"a", "n1")
	table, err := store.OpenTable(t.Context(), source, store.Config{Collections: []store.Collection{pods}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, table)
	appendTo(t, whole, prefix+"b", "n1")
	others := appendTo(t, whole, "/registry/secrets/s", "hidden still")
	if err := table.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := table.Snapshot()
	if got := names(now.Lookup(prefix, "node", "n1")); got != "a=n1 b=n1" || now.Get("/registry/secrets/s") != nil {
		t.Errorf("the table shows %q", got)
	}
	cursor, err := table.Watch(store.WatchOptions{Prefix: prefix, After: now.Revision()})
	if err != nil {
		t.Fatal(err)
	}
	defer cursor.Close()
	source.lost <- struct{}{}
	if _, err := cursor.Next(t.Context()); !errors.Is(err, store.ErrExpired) {
		t.Errorf("a cursor from before: %v", err)
	}
	again := table.Snapshot()
	if again.Revision() < others || again.Get(prefix+"a") != now.Get(prefix+"a") || names(again.Lookup(prefix, "node", "n1")) != "a=n1 b=n1" {
		t.Errorf("loaded again: at %d, %q", again.Revision(), names(again.Ascend(prefix, "")))
	}
	changes := []store.Change{{Key: prefix + "a", Value: []byte("n2")}, {Key: prefix + "b"}, {Key: "/registry/secrets/s"}}
	if _, err := whole.Append(t.Context(), store.Txn{Changes: changes}); err != nil {
		t.Fatal(err)
	}
	if err := table.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(table.Snapshot().Ascend(prefix, "")); got != "a=n2" {
		t.Errorf("afterwards the table shows %q", got)
	}
}

// TestRingForgetsWhatIsOld: beyond a part of their bytes, rings keep events for 75 s, and those who come later list again.
func TestRingForgetsWhatIsOld(t *testing.T) {
	const limit = 64 << 10
	clk := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	opts := inMemory()
	opts.Clock = clk
	s := startWith(t, opts, store.Config{RingBytes: limit, Clock: clk})
	first := put(t, s, "a", "n1")
	fill := func() {
		for range limit / 8 / 256 {
			put(t, s, "b", "n1")
		}
	}
	fill()
	reaches := func(rev store.Revision) bool {
		c, err := s.Watch(store.WatchOptions{Prefix: prefix, After: rev})
		if err == nil {
			c.Close()
		}
		return !errors.Is(err, store.ErrExpired)
	}
	clk.SetTime(clk.Now().Add(74 * time.Second))
	fill()
	if !reaches(first) {
		t.Error("an event of 74 s is gone")
	}
	clk.SetTime(clk.Now().Add(2 * time.Second))
	put(t, s, "b", "n1")
	last := put(t, s, "b", "n1") // who sees it knows that the rings are done with the one before
	if reaches(first) {
		t.Error("an event of 76 s is there, though the rings have more than an eighth of their bytes")
	}
	if !reaches(last - 1) {
		t.Error("the newest event is gone")
	}
}
