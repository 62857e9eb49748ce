package etcd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

// TestRevisions holds the mapping to etcd's ModRevision.
func TestRevisions(t *testing.T) {
	l, client := start(t)
	revs := must(t, l, set("a", "1"), set("b", "1"), set("c", "1"))
	resp, err := client.Get(t.Context(), key("b"))
	if err != nil {
		t.Fatal(err)
	}
	for i, rev := range revs {
		if want := store.Revision(resp.Kvs[0].ModRevision)*128 + store.Revision(i); rev != want {
			t.Errorf("record %d: got revision %d, want %d", i, rev, want)
		}
	}
	if string(resp.Kvs[0].Value) != "1" {
		t.Errorf("etcd holds %q", resp.Kvs[0].Value)
	}
}

func TestConflict(t *testing.T) {
	l, client := start(t)
	first := must(t, l, set("a", "1"), set("b", "1"))
	second := must(t, l, set("x", "1"), set("a", "2"))
	head := foreignTxn(t, client, clientv3.OpPut("/elsewhere", ""))
	for _, c := range []struct {
		what          string
		key           string
		wanted, found store.Revision
	}{
		{"older", "a", first[0], second[1]},
		{"absent", "a", 0, second[1]},
		{"place too low", "a", second[0], second[1]},
		{"place too high", "a", second[1] + 1, second[1]},
		{"place where there is none", "x", second[1], second[0]},
		{"place of no transaction", "a", second[0] + 127, second[1]},
		{"below every revision", "a", 5, second[1]},
		{"not there", "none", second[0], 0},
		{"future", "b", second[1] + 1000, first[1]},
	} {
		_, err := l.Append(t.Context(), store.Txn{
			Conditions: []store.Condition{{Key: key("b"), Revision: first[1]}, {Key: key(c.key), Revision: c.wanted}}, Changes: []store.Change{set("b", "no")},
		})
		if c.key == "b" {
			_, err = l.Append(t.Context(), store.Txn{Conditions: []store.Condition{{Key: key("b"), Revision: c.wanted}}, Changes: []store.Change{set("b", "no")}})
		}
		var got *store.ConflictError
		if !errors.As(err, &got) {
			t.Errorf("%s: got %v, want a conflict", c.what, err)
			continue
		}
		want := store.ConflictError{Key: key(c.key), Wanted: c.wanted, Found: c.found, At: store.Revision(head)*128 + 127}
		if *got != want {
			t.Errorf("%s: got %+v, want %+v", c.what, *got, want)
		}
	}
	if _, err := l.Append(t.Context(), store.Txn{
		Conditions: []store.Condition{{Key: key("a"), Revision: second[1]}, {Key: key("x"), Revision: second[0]}, {Key: key("none")}},
		Changes:    []store.Change{set("a", "3")},
	}); err != nil {
		t.Errorf("conditions that hold: %v", err)
	}
}

// TestStalePlace writes an object behind others and then alone: the place that it had does not count any more.
func TestStalePlace(t *testing.T) {
	l, _ := start(t)
	must(t, l, set("x", "1"), set("a", "1"))
	alone := must(t, l, set("a", "2"))[0]
	if got := load(t, l); got[0].Revision != alone {
		t.Errorf("loaded revision %d, want %d", got[0].Revision, alone)
	}
	if _, err := l.Append(t.Context(), store.Txn{Conditions: []store.Condition{{Key: key("a"), Revision: alone + 1}}, Changes: []store.Change{drop("a")}}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("at the stale place: got %v, want a conflict", err)
	}
	if _, err := l.Append(t.Context(), store.Txn{Conditions: []store.Condition{{Key: key("a"), Revision: alone}}, Changes: []store.Change{drop("a")}}); err != nil {
		t.Errorf("at its revision: %v", err)
	}
}

func TestDeletionTakesThePlaceAlong(t *testing.T) {
	l, client := start(t)
	must(t, l, set("x", "1"), set("a", "1"))
	must(t, l, drop("a"))
	resp, err := client.Get(t.Context(), placeRoot, clientv3.WithPrefix())
	if err != nil || len(resp.Kvs) != 0 {
		t.Errorf("places left: %v, %v", resp.Kvs, err)
	}
}

func TestAppendRefuses(t *testing.T) {
	l, _ := start(t)
	for _, name := range []string{"/elsewhere", "/registry", baseKey, txnKey, ownPrefix + "x"} {
		_, err := l.Append(t.Context(), store.Txn{Changes: []store.Change{{Key: name, Value: []byte("x")}}})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("change of %s: got %v", name, err)
		}
		_, err = l.Append(t.Context(), store.Txn{Conditions: []store.Condition{{Key: name}}, Changes: []store.Change{set("a", "x")}})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("condition on %s: got %v", name, err)
		}
	}
	large := store.Txn{Changes: []store.Change{set("a", strings.Repeat("x", store.MaxTxnBytes-100))}}
	if _, err := l.Append(t.Context(), large); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "--max-request-bytes") {
		t.Errorf("a request above etcd's limit: got %v", err)
	}
	if got := load(t, l); len(got) != 0 {
		t.Errorf("refused transactions left %v", lines(got))
	}
}

// many is a transaction of n records, each with its condition.
func many(n int, revs []store.Revision, value string) store.Txn {
	var txn store.Txn
	for i := range n {
		c := set(fmt.Sprintf("%03d", i), value)
		txn.Changes = append(txn.Changes, c)
		condition := store.Condition{Key: c.Key}
		if revs != nil {
			condition.Revision = revs[i]
		}
		txn.Conditions = append(txn.Conditions, condition)
	}
	return txn
}

// TestManyRecords holds that the largest transaction of the contract fits etcd's default --max-txn-ops, and what says so when it does not.
func TestManyRecords(t *testing.T) {
	l, _ := start(t)
	revs, err := l.Append(t.Context(), many(store.MaxTxnRecords, nil, "1"))
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	got := follow(t, l, 0).take(t, store.MaxTxnRecords)
	for i, r := range got {
		if r.Revision != revs[i] || r.Key != key(fmt.Sprintf("%03d", i)) || r.Last != (i == len(got)-1) {
			t.Fatalf("record %d: got %+v, want revision %d", i, r, revs[i])
		}
	}
	again := many(store.MaxTxnRecords, nil, "2")
	var conflict *store.ConflictError
	if _, err := l.Append(t.Context(), again); !errors.As(err, &conflict) || conflict.Found != revs[0] {
		t.Errorf("again: got %v, want a conflict that found %d", err, revs[0])
	}
	if _, err := l.Append(t.Context(), many(store.MaxTxnRecords, revs, "2")); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "--max-txn-ops") {
		t.Errorf("%d conditions on places: got %v", len(revs), err)
	}
	again.Conditions = nil
	if _, err := l.Append(t.Context(), again); err != nil {
		t.Errorf("without conditions: %v", err)
	}
}

// TestRecordsAroundTheLimit tries transactions whose operations are about as many as etcd takes at once, alone and as
// the reads of a conflict.
func TestRecordsAroundTheLimit(t *testing.T) {
	l, _ := start(t)
	for n := txnOps/2 - 3; n < txnOps/2+4; n++ {
		txn := many(n, nil, "1")
		for i := range txn.Changes {
			txn.Changes[i].Key += fmt.Sprint("-", n)
			txn.Conditions[i].Key = txn.Changes[i].Key
		}
		revs, err := l.Append(t.Context(), txn)
		if err != nil {
			t.Fatalf("%d records: %v", n, err)
		}
		txn.Conditions = txn.Conditions[n-1:]
		var conflict *store.ConflictError
		if _, err := l.Append(t.Context(), txn); !errors.As(err, &conflict) || conflict.Found != revs[n-1] {
			t.Errorf("%d records again: got %v, want a conflict that found %d", n, err, revs[n-1])
		}
	}
}

func TestFewOps(t *testing.T) {
	l, _ := start(t, "--max-txn-ops=8")
	must(t, l, set("a", "1"), set("b", "1"), set("c", "1"))
	if _, err := l.Append(t.Context(), many(10, nil, "1")); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "--max-txn-ops") {
		t.Errorf("got %v, want an error that names --max-txn-ops", err)
	}
}

// TestFull fills etcd up to its quota.
func TestFull(t *testing.T) {
	l, _ := start(t, "--quota-backend-bytes=20000000")
	var err error
	n := 0
	for ; n < 100 && err == nil; n++ {
		_, err = l.Append(t.Context(), store.Txn{Changes: []store.Change{set(fmt.Sprint("large", n), strings.Repeat("x", 1<<20))}})
	}
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "etcdctl defrag") {
		t.Fatalf("after %d writes: got %v, want %v with its remedy", n, err, store.ErrFull)
	}
	before := load(t, l)
	now, err := l.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	follower := follow(t, l, now)
	revs := must(t, l, drop("none"), drop("large0"), drop("large1"))
	got := follower.take(t, 2)
	if got[0].Revision != revs[1] || got[1].Revision != revs[2] || got[0].Value != nil || got[0].Previous == 0 {
		t.Errorf("deletions: got %v, want revisions %v", lines(got), revs)
	}
	if n := len(load(t, l)); n != len(before)-2 {
		t.Errorf("%d objects after two deletions, %d before", n, len(before))
	}
	_, err = l.Append(t.Context(), store.Txn{Conditions: []store.Condition{{Key: key("large2"), Revision: 1}}, Changes: []store.Change{drop("large2")}})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("condition when full: got %v, want a conflict", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	c := etcdtest.Start(t, 1, etcdtest.NoFsync)
	const base = 3 * store.RevisionLeap
	l := mustOpen(t, Options{Endpoints: c.Endpoints(), Base: base})
	rev := must(t, l, set("a", "1"))[0]
	if rev <= base {
		t.Errorf("revision %d is not above the base", rev)
	}
	if _, err := Open(Options{Endpoints: c.Endpoints(), Base: base}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("base again: got %v, want %v", err, ErrNotEmpty)
	}
	again := mustOpen(t, Options{Endpoints: c.Endpoints()})
	if got := load(t, again); got[0].Revision != rev {
		t.Errorf("opened again: revision %d, want %d", got[0].Revision, rev)
	}
	if table, err := store.Open(t.Context(), again, store.Config{Collections: []store.Collection{{Prefix: "/registry/"}}}); err != nil {
		t.Errorf("a table of what was restored: %v", err)
	} else if _, err := table.Watch(store.WatchOptions{Prefix: "/registry/", After: rev - 1}); err != nil {
		t.Errorf("watch from before the start: %v", err)
	}
	if err := again.Follow(t.Context(), 4711, &recorder{}); !errors.Is(err, store.ErrExpired) {
		t.Errorf("follow below the base: got %v, want %v", err, store.ErrExpired)
	}
	if err := again.At(t.Context(), 4711, "", "", nil); !errors.Is(err, store.ErrExpired) {
		t.Errorf("read below the base: got %v, want %v", err, store.ErrExpired)
	}
	full := etcdtest.Start(t, 1, etcdtest.NoFsync)
	foreignTxn(t, full.Client(), clientv3.OpPut(key("a"), "1"))
	if _, err := Open(Options{Endpoints: full.Endpoints(), Base: base}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("base over objects: got %v, want %v", err, ErrNotEmpty)
	}
	c.Kill(0)
	if _, err := Open(Options{Endpoints: c.Endpoints(), DialTimeout: patience / 20}); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), c.Endpoints()[0]) {
		t.Errorf("nobody there: got %v, want %v naming %s", err, ErrUnreachable, c.Endpoints())
	}
}

func TestTooOld(t *testing.T) {
	for version, want := range map[string]bool{
		"3.3.27": true, "3.4.30": true, "3.4.31": false, "3.5.12": true, "3.5.13": false, "3.6.0": false, "3.7.3": false, "4.0.0": false, "2.3.8": true, "3.7.0-rc.1": false,
	} {
		if got := tooOld(version); got != want {
			t.Errorf("%s: too old %v, want %v", version, got, want)
		}
	}
}
