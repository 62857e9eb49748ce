package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// records is a source that has these, and fails after them when err is set.
type records struct {
	Source
	list []Record
	err  error
}

func (r *records) Load(ctx context.Context, each func(Record) error) (Revision, error) {
	for _, record := range r.list {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := each(record); err != nil {
			return 0, fmt.Errorf("load: %w", err)
		}
	}
	return Revision(len(r.list)), r.err
}

func (r *records) Recent(_ context.Context, upTo Revision, _ Window, _ func(_, _ Record) error) (Revision, error) {
	return upTo, nil
}

// letters indexes an item by each byte of its value, and by its first one.
var letters = []Index{
	{Name: "letter", Values: func(i *Item) []string { return strings.Split(string(i.Value()), "") }},
	{Name: "first", Values: func(i *Item) []string { return []string{string(i.Value()[:min(1, len(i.Value()))])} }},
}

var lettered = Config{Collections: []Collection{
	{Prefix: "/b/", Indexes: letters}, {Prefix: "/c/"}, {Prefix: "/d/", Indexes: letters[:1]}, {Prefix: "/empty/", Indexes: letters},
}}

// randomRecords are n records in and around the collections of lettered, in key order.
func randomRecords(rng *rand.Rand, n int) []Record {
	list := make([]Record, 0, n)
	for i := range n {
		value := make([]byte, rng.IntN(4))
		for j := range value {
			value[j] = "xyz\x00"[rng.IntN(4)]
		}
		list = append(list, Record{Key: fmt.Sprintf("/%c/%06d", "abcdz"[5*i/n], i), Value: value, Revision: Revision(i + 1)})
	}
	return list
}

// TestLoadMatchesApply loads tables at once and compares them with those whose records came one by one.
func TestLoadMatchesApply(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, n := range []int{0, 1, 30, batchRecords - 1, batchRecords, batchRecords + 1, 7 * batchRecords, 5000 + rng.IntN(5000)} {
		list := randomRecords(rng, n)
		loaded, err := OpenTable(t.Context(), &records{list: list}, lettered)
		if err != nil {
			t.Fatal(err)
		}
		applied, err := OpenTable(t.Context(), &records{}, lettered)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if err := (*applier)(applied).Apply([]Record{r}); err != nil {
				t.Fatal(err)
			}
		}
		sameSnapshots(t, n, loaded.Snapshot(), applied.Snapshot())
	}
}

func sameSnapshots(t *testing.T, n int, got, want *Snapshot) {
	t.Helper()
	if got.Revision() != want.Revision() {
		t.Fatalf("of %d records: revision %d, want %d", n, got.Revision(), want.Revision())
	}
	all := func(tr tree[*Item]) []string {
		var list []string
		tr.ascend("", "", func(i *Item) bool {
			list = append(list, fmt.Sprintf("%s=%s@%d", i.Key, i.Value(), i.Revision))
			return true
		})
		return list
	}
	if !slices.Equal(all(got.items), all(want.items)) {
		t.Fatalf("of %d records: items differ", n)
	}
	if !slices.Equal(all(got.indexes), all(want.indexes)) {
		t.Fatalf("of %d records: indexes differ", n)
	}
	for item := range want.Ascend("/b/", "") {
		for _, v := range letters[0].Values(item) {
			if !slices.Contains(slices.Collect(got.Lookup("/b/", "letter", v)), got.Get(item.Key)) && v != "\x00" {
				t.Fatalf("of %d records: %s is not found by %q", n, item.Key, v)
			}
		}
	}
}

// TestLoadRefusesDisorder: a tree that is built from what is not in order would answer wrongly.
func TestLoadRefusesDisorder(t *testing.T) {
	for _, c := range []struct{ at, from int }{{1, 0}, {2, 1}, {900, 3}, {2000, 2000 - 2}} {
		list := randomRecords(rand.New(rand.NewPCG(1, 1)), 2001)
		list[c.at].Key = list[c.from].Key
		_, err := OpenTable(t.Context(), &records{list: list}, lettered)
		if err == nil || !strings.Contains(err.Error(), list[c.at-1].Key) || !strings.Contains(err.Error(), list[c.at].Key) {
			t.Errorf("record %d has the key of record %d: got %v, want an error that names both keys", c.at, c.from, err)
		}
	}
}

// TestLoadEnds: a source that fails, and a context that ends, end the builder too.
func TestLoadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails when a goroutine is left
		list := randomRecords(rand.New(rand.NewPCG(1, 1)), 20*batchRecords)
		failure := errors.New("the disk is gone")
		if _, err := OpenTable(t.Context(), &records{list: list, err: failure}, lettered); !errors.Is(err, failure) {
			t.Errorf("failing source: got %v, want %v", err, failure)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cfg := Config{Collections: []Collection{{Prefix: "/b/", Indexes: []Index{{Name: "n", Values: func(*Item) []string { cancel(); return nil }}}}}}
		if _, err := OpenTable(ctx, &records{list: list}, cfg); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while loading: got %v, want %v", err, context.Canceled)
		}
	})
}

// TestPlacesShareTheirKey: an indexed item's key is kept once.
func TestPlacesShareTheirKey(t *testing.T) {
	table, err := OpenTable(t.Context(), &records{list: []Record{{Key: "/b/1", Value: []byte("xy"), Revision: 1}}}, lettered)
	if err != nil {
		t.Fatal(err)
	}
	item := table.Snapshot().Get("/b/1")
	want := []topic{{"letter", "x"}, {"letter", "y"}, {"first", "x"}}
	var got []topic
	for _, place := range item.cell.places {
		got = append(got, item.cell.topic(place))
	}
	if item.Key != "/b/1" || !slices.Equal(got, want) {
		t.Errorf("got %q under %v, want /b/1 under %v", item.Key, got, want)
	}
}
