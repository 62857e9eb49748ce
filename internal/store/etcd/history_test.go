package etcd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

func at(t testing.TB, l *Log, rev store.Revision, from, to string) ([]string, error) {
	t.Helper()
	var records []store.Record
	err := l.At(t.Context(), rev, from, to, collect(&records))
	return lines(records), err
}

func TestAt(t *testing.T) {
	l, client := start(t)
	r1 := must(t, l, set("a", "1"), set("b", "1"), set("c", "1"))
	r2 := must(t, l, set("c", "2"), drop("a"), set("d", "2"), set("b", "2"))
	foreign := store.Revision(foreignTxn(t, client, clientv3.OpPut(key("d"), "3"), clientv3.OpDelete(key("b")), clientv3.OpPut(key("a"), "3"))) * 128
	a1, b1, c1 := fmt.Sprintf("%d a=1 after 0", r1[0]), fmt.Sprintf("%d b=1 after 0", r1[1]), fmt.Sprintf("%d c=1 after 0", r1[2])
	c2, d2, b2 := fmt.Sprintf("%d c=2 after 0", r2[0]), fmt.Sprintf("%d d=2 after 0", r2[2]), fmt.Sprintf("%d b=2 after 0", r2[3])
	for _, c := range []struct {
		what     string
		rev      store.Revision
		from, to string
		want     []string
	}{
		{"after all of a transaction", r1[2], "", "", []string{a1, b1, c1}},
		{"first record", r1[0], "", "", []string{a1}},
		{"second record", r1[1], "", "", []string{a1, b1}},
		{"before a deletion and others", r2[0], "", "", []string{a1, b1, c2}},
		{"after the deletion", r2[1], "", "", []string{b1, c2}},
		{"before the last", r2[2], "", "", []string{b1, c2, d2}},
		{"the last", r2[3], "", "", []string{b2, c2, d2}},
		{"a range", r2[0], key("b"), key("c"), []string{b1}},
		{"a range before a deletion", r2[0], key("a"), key("b"), []string{a1}},
		{"after the state", r2[0] + 127, "", "", []string{b2, c2, d2}},
		{"inside a foreign transaction", foreign, "", "", []string{b2, c2, fmt.Sprintf("%d d=3 after 0", foreign)}},
		{"inside it before its last", foreign + 1, "", "", []string{c2, fmt.Sprintf("%d d=3 after 0", foreign)}},
		{"floe's own keys are not there", r2[3], ownPrefix, ownPrefix + "z", nil},
		{"nor others outside", r2[3], "/a", "/b", nil},
	} {
		got, err := at(t, l, c.rev, c.from, c.to)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
	if _, err := at(t, l, foreign+1000, "", ""); !errors.Is(err, store.ErrFuture) {
		t.Errorf("the future: got %v, want %v", err, store.ErrFuture)
	}
}

func TestVersions(t *testing.T) {
	l, client := start(t)
	append1 := func(actor string, changes ...store.Change) []store.Revision {
		revs, err := l.Append(t.Context(), store.Txn{Changes: changes, Actor: actor, Cause: "why"})
		if err != nil {
			t.Fatal(err)
		}
		return revs
	}
	r1 := append1("ann", set("x", ""), set("a", "1"))
	r2 := append1("bob", set("a", "2"))
	r3 := append1("eve", set("x", ""), drop("a"))
	r4 := append1("ann", set("a", "4"))
	foreign := store.Revision(foreignTxn(t, client, clientv3.OpPut(key("a"), "5"))) * 128
	versions := func() []string {
		var got []string
		if err := l.Versions(t.Context(), key("a"), func(r store.Record) error {
			got = append(got, line(r)+" "+r.Actor)
			if (r.Actor == "") != r.Time.IsZero() || (r.Actor == "") != (r.Cause == "") {
				t.Errorf("%s: time %v, cause %q", line(r), r.Time, r.Cause)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := []string{
		fmt.Sprintf("%d a=5 after %d ", foreign, r4[0]), fmt.Sprintf("%d a=4 after 0 ann", r4[0]), fmt.Sprintf("%d a=deleted after %d eve", r3[1], r2[0]),
		fmt.Sprintf("%d a=2 after %d bob", r2[0], r1[1]), fmt.Sprintf("%d a=1 after 0 ann", r1[1]),
	}
	if diff := cmp.Diff(want, versions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if err := l.Compact(t.Context(), r2[0]); err != nil {
		t.Fatal(err)
	}
	want = append(want[:3:3], fmt.Sprintf("%d a=2 after 0 bob", r2[0]))
	if diff := cmp.Diff(want, versions()); diff != "" {
		t.Errorf("after compaction (-want +got):\n%s", diff)
	}
	must(t, l, set("x", "later"))
	if err := l.Compact(t.Context(), r4[0]+129); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("%d a=5 after 0 ", foreign)}, versions()); diff != "" {
		t.Errorf("after more compaction (-want +got):\n%s", diff)
	}
}

func TestCompacted(t *testing.T) {
	l, _ := start(t)
	var revs []store.Revision
	for i := range 10 {
		revs = append(revs, must(t, l, set("x", ""), set("a", fmt.Sprint(i)))...)
	}
	middle := revs[9]
	for range 2 { // again does no harm
		if err := l.Compact(t.Context(), middle); err != nil {
			t.Fatalf("compact: %v", err)
		}
	}
	if _, err := at(t, l, middle-128, "", ""); !errors.Is(err, store.ErrExpired) {
		t.Errorf("read before: got %v, want %v", err, store.ErrExpired)
	}
	if got, err := at(t, l, middle, "", ""); err != nil || len(got) != 2 {
		t.Errorf("read at it: %v, %v", got, err)
	}
	if err := l.Follow(t.Context(), middle-128, &recorder{changed: make(chan struct{})}); !errors.Is(err, store.ErrExpired) {
		t.Errorf("follow before: got %v, want %v", err, store.ErrExpired)
	}
	first := follow(t, l, middle).take(t, 10)[1]
	if first.Revision != revs[11] || first.Previous != middle {
		t.Errorf("follow from it: %s, want it after %d", line(first), middle)
	}
	if err := l.Compact(t.Context(), revs[19]+1000); !errors.Is(err, store.ErrFuture) {
		t.Errorf("compact the future: got %v, want %v", err, store.ErrFuture)
	}
	var got []store.Record
	after, err := l.Recent(t.Context(), revs[19], store.Window{Bytes: 1 << 20}, func(r, _ store.Record) error { return collect(&got)(r) })
	if err != nil || len(got) != 10 || after < middle || after >= revs[10] {
		t.Errorf("recent after compaction: %d records, complete after %d, %v; want 10 after %d", len(got), after, err, middle)
	}
}

func TestRecent(t *testing.T) {
	l, client := start(t)
	must(t, l, set("x", ""), set("a", "first"))
	second := must(t, l, set("x", ""), set("a", "second"))
	foreignTxn(t, client, clientv3.OpPut(key("b"), "foreign"))
	third := must(t, l, set("y", "123"), drop("a"))
	upTo := store.Revision(foreignTxn(t, client, clientv3.OpPut("/elsewhere", "1")))*128 + 127
	for _, c := range []struct {
		what   string
		window store.Window
		want   []string
	}{
		{"all", store.Window{Bytes: 1 << 20}, []string{"x: none", "a: none", "x: ", "a: first", "b: none", "y: none", "a: second"}},
		{"by bytes", store.Window{Bytes: int64(len("foreign123"))}, []string{"b: none", "y: none", "a: second"}},
		{"fewer", store.Window{Bytes: 5}, []string{"y: none", "a: second"}},
		{"by time", store.Window{Bytes: 1 << 20, Since: time.Now().Add(time.Hour)}, nil},
		{"nothing", store.Window{}, nil},
	} {
		var got []string
		after, err := l.Recent(t.Context(), upTo, c.window, func(r, replaced store.Record) error {
			text := "none"
			if replaced.Value != nil {
				text = string(replaced.Value)
			}
			if replaced.Revision != r.Previous {
				t.Errorf("%s: %s replaced %d", c.what, line(r), replaced.Revision)
			}
			got = append(got, r.Key[len(key("")):]+": "+text)
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
		if c.what == "fewer" && (after < second[1] || after >= third[0]) {
			t.Errorf("%s: complete after %d, want it between %d and %d", c.what, after, second[1], third[0])
		}
	}
}

// rot13 is a codec that shows whether values went through it, and for which key.
type rot13 struct{}

func (rot13) Seal(key string, plain []byte) ([]byte, error) {
	return []byte("sealed " + key + " " + letters(string(plain))), nil
}

func (rot13) Open(key string, sealed []byte) ([]byte, error) {
	rest, ok := strings.CutPrefix(string(sealed), "sealed "+key+" ")
	if !ok {
		return nil, fmt.Errorf("%s is not sealed for %s", sealed, key)
	}
	return []byte(letters(rest)), nil
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return r
		}
		return 'a' + (r-'a'+13)%26
	}, s)
}

func TestCodec(t *testing.T) {
	c := etcdtest.Start(t, 1, etcdtest.NoFsync)
	l := mustOpen(t, Options{Endpoints: c.Endpoints(), Codec: rot13{}})
	first := must(t, l, set("a", "plain"))[0]
	second := must(t, l, set("a", "more"))[0]
	resp, err := c.Client().Get(t.Context(), rootPrefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		if strings.Contains(string(kv.Value), "more") {
			t.Errorf("%s holds plain text: %q", kv.Key, kv.Value)
		}
	}
	values := map[string][]string{}
	note := func(what string) func(store.Record) error {
		return func(r store.Record) error {
			values[what] = append(values[what], string(r.Value))
			return nil
		}
	}
	_, loadErr := l.Load(t.Context(), note("load"))
	_, recentErr := l.Recent(t.Context(), second, store.Window{Bytes: 100}, func(r, replaced store.Record) error {
		return errors.Join(note("recent")(r), note("replaced")(replaced))
	})
	if err := errors.Join(loadErr, recentErr, l.At(t.Context(), first, "", "", note("at")), l.Versions(t.Context(), key("a"), note("versions"))); err != nil {
		t.Fatal(err)
	}
	for _, r := range follow(t, l, 0).take(t, 2) {
		_ = note("follow")(r)
	}
	want := map[string][]string{
		"load": {"more"}, "recent": {"plain", "more"}, "replaced": {"", "plain"}, "at": {"plain"}, "versions": {"more", "plain"}, "follow": {"plain", "more"},
	}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	foreignTxn(t, c.Client(), clientv3.OpPut(key("a"), "not sealed"))
	if _, err := l.Load(t.Context(), note("load")); err == nil || !strings.Contains(err.Error(), key("a")) {
		t.Errorf("a value that does not open: got %v", err)
	}
}

// TestPages loads more than fits a page, small and large values among each other.
func TestPages(t *testing.T) {
	l, _ := start(t)
	var want []string
	for i := range 10 {
		txn := many(100, nil, strings.Repeat("x", 1+i%3*5000))
		for j := range txn.Changes {
			txn.Changes[j].Key += fmt.Sprint("-", i)
			want = append(want, txn.Changes[j].Key)
		}
		txn.Conditions = nil
		if _, err := l.Append(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	var got []string
	for _, r := range load(t, l) {
		got = append(got, r.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
}
