package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floe-k8s/floe/internal/store"
)

// Opener opens the log of one place. It is called again only after the log it returned before was closed.
type Opener func() (store.Log, error)

// Apply is a store.Follower that takes transactions and does not care for what is reached without one.
type Apply func(txn []store.Record) error

// Apply calls f for each.
func (f Apply) Apply(txns ...[]store.Record) error {
	for _, txn := range txns {
		if err := f(txn); err != nil {
			return err
		}
	}
	return nil
}

// Reached does nothing.
func (Apply) Reached(store.Revision) {}

// Run runs the contract suite; fresh names an empty place.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	cases := []struct {
		name string
		test func(t *testing.T, open Opener)
	}{
		{"revisions rise and answer in order", testRevisions},
		{"conditions compare with the head", testConditions},
		{"a transaction stands or falls together", testWhole},
		{"deletion ends the previous revision", testDeletion},
		{"bad transactions are refused", testRefused},
		{"load and follow give one history", testFollow},
		{"follow refuses the future and a second follower", testFollowRefuses},
		{"reopening keeps everything", testReopen},
		{"past states of one key and of many", testAt},
		{"writers of one key all win once", testContended},
		{"a closed log refuses", testClosed},
		{"a caller that left changes nothing for others", testCancelled},
		{"random transactions match a model", testModel},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

func mustOpen(t *testing.T, open Opener) store.Log {
	t.Helper()
	log, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return log
}

func mustAppend(t *testing.T, log store.Log, txn store.Txn) []store.Revision {
	t.Helper()
	revs, err := log.Append(t.Context(), txn)
	if err != nil {
		t.Fatalf("append %v: %v", txn.Changes, err)
	}
	return revs
}

func set(key, value string) store.Change { return store.Change{Key: key, Value: []byte(value)} }

func testRevisions(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	last := store.Revision(0)
	for i := range 20 {
		for _, rev := range mustAppend(t, log, store.Txn{Changes: []store.Change{set(fmt.Sprint("a", i), "x"), set("b", "y")}}) {
			if rev <= last {
				t.Fatalf("revision %d after %d", rev, last)
			}
			last = rev
		}
	}
}

func testConditions(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	first := mustAppend(t, log, store.Txn{Changes: []store.Change{set("k", "1")}})[0]
	for _, c := range []struct {
		key    string
		wanted store.Revision
		found  store.Revision
	}{{"k", 0, first}, {"k", first + 100, first}, {"absent", first, 0}} {
		_, err := log.Append(t.Context(), store.Txn{
			Conditions: []store.Condition{{Key: c.key, Revision: c.wanted}}, Changes: []store.Change{set("k", "no")},
		})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || !errors.Is(err, store.ErrConflict) {
			t.Fatalf("condition %v: got %v, want a conflict", c, err)
		}
		want := store.ConflictError{Key: c.key, Wanted: c.wanted, Found: c.found}
		if *conflict != want {
			t.Errorf("conflict: got %+v, want %+v", *conflict, want)
		}
	}
	mustAppend(t, log, store.Txn{
		Conditions: []store.Condition{{Key: "k", Revision: first}, {Key: "absent"}}, Changes: []store.Change{set("k", "2")},
	})
}

func testWhole(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	mustAppend(t, log, store.Txn{Changes: []store.Change{set("a", "1"), set("b", "1"), set("c", "1")}})
	_, err := log.Append(t.Context(), store.Txn{
		Conditions: []store.Condition{{Key: "c", Revision: 0}}, Changes: []store.Change{set("a", "2"), set("b", "2")},
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "1", "c": "1"}, contents(t, log)); diff != "" {
		t.Errorf("a refused transaction changed something (-want +got):\n%s", diff)
	}
	records := history(t, log, 0, 3)
	if got := []bool{records[0].Last, records[1].Last, records[2].Last}; !cmp.Equal(got, []bool{false, false, true}) {
		t.Errorf("ends of the transaction: got %v", got)
	}
}

func testDeletion(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	first := mustAppend(t, log, store.Txn{Changes: []store.Change{set("k", "1")}})[0]
	gone := mustAppend(t, log, store.Txn{Changes: []store.Change{{Key: "k"}}})[0]
	again := mustAppend(t, log, store.Txn{
		Conditions: []store.Condition{{Key: "k"}}, Changes: []store.Change{set("k", "")},
	})[0]
	got := history(t, log, 0, 3)
	for i, want := range []store.Record{
		{Revision: first, Value: []byte("1")}, {Revision: gone, Previous: first}, {Revision: again, Value: []byte{}},
	} {
		r := got[i]
		if r.Revision != want.Revision || r.Previous != want.Previous || (r.Value == nil) != (want.Value == nil) || !bytes.Equal(r.Value, want.Value) {
			t.Errorf("record %d: got %+v, want %+v", i, r, want)
		}
	}
}

func testRefused(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	many := make([]store.Change, store.MaxTxnRecords+1)
	for i := range many {
		many[i] = set(fmt.Sprint(i), "x")
	}
	for name, c := range map[string]struct {
		changes []store.Change
		want    error
	}{
		"none":  {nil, nil},
		"twice": {[]store.Change{set("a", "1"), set("a", "2")}, nil},
		"many":  {many, store.ErrTooLarge},
		"large": {[]store.Change{{Key: "a", Value: make([]byte, store.MaxTxnBytes)}}, store.ErrTooLarge},
	} {
		_, err := log.Append(t.Context(), store.Txn{Changes: c.changes})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if got := contents(t, log); len(got) != 0 {
		t.Errorf("refused transactions left %v", got)
	}
}

func testFollow(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	var want []store.Record
	for i := range 5 {
		txn := store.Txn{Changes: []store.Change{set("a", fmt.Sprint(i)), set(fmt.Sprint(i), "x")}, Actor: "someone", Cause: "a test"}
		for j, rev := range mustAppend(t, log, txn) {
			want = append(want, store.Record{Revision: rev, Key: txn.Changes[j].Key, Value: txn.Changes[j].Value, Actor: "someone", Cause: "a test", Last: j == 1})
		}
	}
	got := history(t, log, 0, len(want))
	for i := range got {
		if got[i].Time.IsZero() {
			t.Errorf("record %d has no time", i)
		}
	}
	if diff := cmp.Diff(want, got, ignore("Time", "Previous")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	middle := want[3].Revision
	if diff := cmp.Diff(want[4:], history(t, log, middle, len(want)-4), ignore("Time", "Previous")); diff != "" {
		t.Errorf("history after %d (-want +got):\n%s", middle, diff)
	}
}

func ignore(fields ...string) cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool {
		for _, f := range fields {
			if p.Last().String() == "."+f {
				return true
			}
		}
		return false
	}, cmp.Ignore())
}

func testFollowRefuses(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	rev := mustAppend(t, log, store.Txn{Changes: []store.Change{set("a", "1")}})[0]
	apply := Apply(func([]store.Record) error { return nil })
	if err := log.Follow(t.Context(), rev+1, apply); !errors.Is(err, store.ErrFuture) {
		t.Errorf("follow the future: got %v, want %v", err, store.ErrFuture)
	}
	err := log.Follow(t.Context(), 0, Apply(func([]store.Record) error {
		if second := log.Follow(t.Context(), 0, apply); second == nil || errors.Is(second, store.ErrFuture) {
			t.Errorf("second follower: got %v", second)
		}
		return errEnough
	}))
	if !errors.Is(err, errEnough) {
		t.Errorf("follower's own error: got %v", err)
	}
}

func testReopen(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	mustAppend(t, log, store.Txn{Changes: []store.Change{set("a", "1"), set("b", "1"), set("c", "")}})
	last := mustAppend(t, log, store.Txn{Changes: []store.Change{{Key: "b"}}})[0]
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	log = mustOpen(t, open)
	if diff := cmp.Diff(map[string]string{"a": "1", "c": ""}, contents(t, log)); diff != "" {
		t.Errorf("after reopening (-want +got):\n%s", diff)
	}
	if got := history(t, log, 0, 4); got[3].Revision != last || got[3].Value != nil {
		t.Errorf("last record: got %+v, want the deletion %d", got[3], last)
	}
	if rev := mustAppend(t, log, store.Txn{Changes: []store.Change{set("a", "2")}})[0]; rev <= last {
		t.Errorf("revision %d after reopening, %d was given out before", rev, last)
	}
}

func testAt(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	var rev store.Revision
	for _, key := range []string{"a", "a/b", "a!", "b", "a"} {
		rev = mustAppend(t, log, store.Txn{Changes: []store.Change{set(key, "1")}})[0]
	}
	mustAppend(t, log, store.Txn{Changes: []store.Change{set("a", "2"), set("c", "2")}})
	for _, c := range []struct{ from, to, want string }{
		{"", "", "a=1 a!=1 a/b=1 b=1"},
		{"a", "a\x00", "a=1"},
		{"a!", "a!\x00", "a!=1"},
		{"a/", "b", "a/b=1"},
		{"a", "b", "a=1 a!=1 a/b=1"},
		{"c", "", ""},
	} {
		var got []string
		if err := log.At(t.Context(), rev, c.from, c.to, func(r store.Record) error {
			got = append(got, r.Key+"="+string(r.Value))
			return nil
		}); err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("at %d from %q to %q: got %q, %v, want %q", rev, c.from, c.to, got, err, c.want)
		}
	}
	if err := log.At(t.Context(), rev+1000, "", "", nil); !errors.Is(err, store.ErrFuture) {
		t.Errorf("at the future: got %v, want %v", err, store.ErrFuture)
	}
}

func testContended(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	const writers, each = 16, 20
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			rev := store.Revision(0)
			for done := 0; done < each; {
				revs, err := log.Append(t.Context(), store.Txn{
					Conditions: []store.Condition{{Key: "counter", Revision: rev}}, Changes: []store.Change{set("counter", "x")},
				})
				var conflict *store.ConflictError
				switch {
				case err == nil:
					rev = revs[0]
					done++
				case errors.As(err, &conflict):
					rev = conflict.Found
				default:
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	previous := store.Revision(0)
	for _, r := range history(t, log, 0, writers*each) {
		if r.Previous != previous {
			t.Fatalf("record %d rests on %d, want %d: an update was lost", r.Revision, r.Previous, previous)
		}
		previous = r.Revision
	}
}

func testClosed(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if _, err := log.Append(t.Context(), store.Txn{Changes: []store.Change{set("a", "1")}}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("append: got %v, want %v", err, store.ErrClosed)
	}
	if _, err := log.Load(t.Context(), func(store.Record) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("load: got %v, want %v", err, store.ErrClosed)
	}
	if err := log.Follow(t.Context(), 0, Apply(func([]store.Record) error { return nil })); !errors.Is(err, store.ErrClosed) {
		t.Errorf("follow: got %v, want %v", err, store.ErrClosed)
	}
}

func testCancelled(t *testing.T, open Opener) {
	log := mustOpen(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Append(ctx, store.Txn{Changes: []store.Change{set("a", "1")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	mustAppend(t, log, store.Txn{Changes: []store.Change{set("b", "1")}})
}

var errEnough = errors.New("enough")

// history follows the log until it has n records.
func history(t *testing.T, log store.Log, after store.Revision, n int) []store.Record {
	t.Helper()
	var got []store.Record
	err := log.Follow(t.Context(), after, Apply(func(txn []store.Record) error {
		got = append(got, txn...)
		if len(got) >= n {
			return errEnough
		}
		return nil
	}))
	if !errors.Is(err, errEnough) || len(got) != n {
		t.Fatalf("follow after %d: %d records, want %d: %v", after, len(got), n, err)
	}
	return got
}

func contents(t *testing.T, log store.Log) map[string]string {
	t.Helper()
	got := map[string]string{}
	if _, err := log.Load(t.Context(), func(r store.Record) error {
		got[r.Key] = string(r.Value)
		return nil
	}); err != nil {
		t.Fatalf("load: %v", err)
	}
	return got
}
