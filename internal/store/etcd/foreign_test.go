package etcd

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
)

// TestForeignWrites follows a program that knows nothing of the log beside one that writes through it.
func TestForeignWrites(t *testing.T) {
	l, client := start(t)
	own := must(t, l, set("x", "1"), set("a", "1"))
	f := follow(t, l, 0)
	one := foreignTxn(t, client, clientv3.OpPut(key("a"), "2"))
	// etcd's order is that of the operations, not of the keys.
	several := foreignTxn(t, client, clientv3.OpPut(key("c"), "2"), clientv3.OpDelete(key("a")), clientv3.OpPut(key("b"), "2"))
	foreignTxn(t, client, clientv3.OpPut("/elsewhere", "1"))
	at := func(mod int64, place int) store.Revision { return store.Revision(mod)*128 + store.Revision(place) }
	got := f.take(t, 6)
	want := []string{
		fmt.Sprintf("%d x=1 after 0", own[0]),
		fmt.Sprintf("%d a=1 after 0", own[1]),
		fmt.Sprintf("%d a=2 after %d", at(one, 0), own[1]),
		fmt.Sprintf("%d c=2 after 0", at(several, 0)),
		fmt.Sprintf("%d a=deleted after %d", at(several, 1), at(one, 0)),
		fmt.Sprintf("%d b=2 after 0", at(several, 2)),
	}
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
	for _, r := range got[2:] {
		if r.Actor != "" || !r.Time.IsZero() {
			t.Errorf("foreign record has actor %q and time %v", r.Actor, r.Time)
		}
	}
	if last := []bool{got[3].Last, got[4].Last, got[5].Last}; !cmp.Equal(last, []bool{false, false, true}) {
		t.Errorf("ends of the foreign transaction: %v", last)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("%d b=2 after 0", at(several, 2)), fmt.Sprintf("%d c=2 after 0", at(several, 0)), fmt.Sprintf("%d x=1 after 0", own[0])}, lines(load(t, l))); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	// A revision that was handed over is one that a condition can hold at.
	revs, err := l.Append(t.Context(), store.Txn{Conditions: []store.Condition{{Key: key("b"), Revision: at(several, 2)}}, Changes: []store.Change{set("b", "3")}})
	if err != nil {
		t.Fatalf("condition on a foreign place: %v", err)
	}
	if last := f.take(t, 7)[6]; last.Previous != at(several, 2) || last.Revision != revs[0] {
		t.Errorf("got %s, want it after %d", line(last), at(several, 2))
	}
}

// TestCrowd gives a foreign transaction more changes than there are revisions for it.
func TestCrowd(t *testing.T) {
	l, client := start(t, "--max-txn-ops=1000")
	rev := must(t, l, set("a", "1"))[0]
	var ops []clientv3.Op
	for i := range stride + 1 {
		ops = append(ops, clientv3.OpPut(key(fmt.Sprint("crowd", i)), "1"))
	}
	foreignTxn(t, client, ops...)
	if err := l.Follow(t.Context(), rev, &recorder{changed: make(chan struct{})}); !errors.Is(err, store.ErrExpired) {
		t.Errorf("follow: got %v, want %v", err, store.ErrExpired)
	}
	end, err := l.Load(t.Context(), func(store.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var records []store.Record
	after, err := l.Recent(t.Context(), end, store.Window{Bytes: 1 << 20}, func(r, _ store.Record) error { return collect(&records)(r) })
	if err != nil || after != end || len(records) != 0 {
		t.Errorf("recent: %d records, complete after %d (%v), want none and %d", len(records), after, err, end)
	}
}

// TestTableOverACrowd lets a table meet it: it loads again and goes on.
func TestTableOverACrowd(t *testing.T) {
	l, client := start(t, "--max-txn-ops=1000")
	kept := must(t, l, set("kept", "1"))[0]
	must(t, l, set("gone", "1"))
	table := runTable(t, l)
	ops := []clientv3.Op{clientv3.OpDelete(key("gone"))}
	for i := range stride + 1 {
		ops = append(ops, clientv3.OpPut(key(fmt.Sprint("crowd", i)), "1"))
	}
	foreignTxn(t, client, ops...)
	if err := table.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := table.Snapshot()
	if now.Get(key("gone")) != nil || now.Get(key("crowd77")) == nil || now.Get(key("kept")).Revision != kept {
		t.Error("the table does not show what the crowd left")
	}
	revs := must(t, l, set("after", "1"))
	if err := table.Wait(t.Context(), revs[0]); err != nil || table.Snapshot().Get(key("after")) == nil {
		t.Errorf("the table does not go on: %v", err)
	}
}

// TestDamagedTxn lets a transaction record not fit what was written, as no version of floe does.
func TestDamagedTxn(t *testing.T) {
	for name, c := range map[string]struct {
		record string
		ops    []clientv3.Op
		want   error
	}{
		"unnamed key":   {string((&txnRecord{}).encode()), []clientv3.Op{clientv3.OpPut(key("a"), "1")}, errDamaged},
		"unwritten key": {string((&txnRecord{keys: []txnRecordKey{{key: key("a")}}}).encode()), nil, errDamaged},
		"garbage":       {"\x01garbage", nil, errDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			l, client := start(t)
			foreignTxn(t, client, append(c.ops, clientv3.OpPut(txnKey, c.record))...)
			if err := l.Follow(t.Context(), 0, &recorder{changed: make(chan struct{})}); !errors.Is(err, c.want) {
				t.Errorf("follow: got %v, want %v", err, c.want)
			}
		})
	}
}

// TestAbsentDeletion holds that deleting what is absent is a record, as on the other engine.
func TestAbsentDeletion(t *testing.T) {
	l, _ := start(t)
	revs := must(t, l, drop("none"), set("a", "1"), drop("nothing"))
	want := []string{
		fmt.Sprintf("%d none=deleted after 0", revs[0]), fmt.Sprintf("%d a=1 after 0", revs[1]), fmt.Sprintf("%d nothing=deleted after 0", revs[2]),
	}
	if diff := cmp.Diff(want, lines(follow(t, l, 0).take(t, 3))); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
}
