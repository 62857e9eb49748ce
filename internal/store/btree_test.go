package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestTreeMatchesMap edits a tree and a map alike, and holds old trees to what they were.
func TestTreeMatchesMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	type version struct {
		tree tree[int]
		want map[string]int
	}
	var versions []version
	var current tree[int]
	want := map[string]int{}
	for round := range 120 {
		edit := current.edit()
		for range rng.IntN(200) {
			key := fmt.Sprintf("%c/%03d", 'a'+rune(rng.IntN(3)), rng.IntN(700))
			// Grows, then shrinks to nothing.
			if rng.IntN(120) > round {
				v := rng.Int()
				edit.set(key, v)
				want[key] = v
			} else {
				edit.remove(key)
				delete(want, key)
			}
		}
		current = edit.done()
		versions = append(versions, version{current, maps.Clone(want)})
	}
	for i, v := range versions {
		checkTree(t, i, v.tree, v.want)
	}
}

func checkTree(t *testing.T, version int, tr tree[int], want map[string]int) {
	t.Helper()
	for _, prefix := range []string{"", "a/", "b/", "c/6", "d"} {
		var got, expected []int
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if strings.HasPrefix(key, prefix) {
				expected = append(expected, want[key])
			}
		}
		tr.ascend(prefix, "", func(v int) bool { got = append(got, v); return true })
		if !slices.Equal(got, expected) {
			t.Fatalf("version %d, prefix %q: got %d values, want %d, or their order differs", version, prefix, len(got), len(expected))
		}
		s := Snapshot{}
		if prefix != "" {
			end, _ := prefixEnd(prefix)
			if n := tr.rank(end) - tr.rank(prefix); n != len(expected) {
				t.Fatalf("version %d, prefix %q: counted %d, want %d", version, prefix, n, len(expected))
			}
		}
		if n := s.Count(prefix); n != 0 {
			t.Fatalf("empty snapshot counts %d", n)
		}
	}
	for key, v := range want {
		if got, ok := tr.get(key); !ok || got != v {
			t.Fatalf("version %d: %s is %d %v, want %d", version, key, got, ok, v)
		}
	}
}

func TestFormsAreBounded(t *testing.T) {
	const limit = 10 * (formOverhead + 100)
	cache := &formCache{limit: limit}
	c := &collection{cache: cache}
	items := make([]*Item, 100)
	for i := range items {
		items[i] = &Item{Key: fmt.Sprint(i), cell: &cell{collection: c}}
	}
	made := 0
	encode := func(*Item) ([]byte, error) { made++; return make([]byte, 100), nil }
	for range 3 {
		for _, item := range items {
			if _, err := items[0].Form(0, encode); err != nil { // hot: stays
				t.Fatal(err)
			}
			if b, err := item.Form(1, encode); err != nil || len(b) != 100 {
				t.Fatalf("form: %d bytes, %v", len(b), err)
			}
			if cache.bytes > limit {
				t.Fatalf("cache holds %d bytes, limit is %d", cache.bytes, limit)
			}
		}
	}
	if made > 3*len(items)+1 {
		t.Errorf("%d forms were made: the hot one was evicted", made)
	}
	held := 0
	for _, item := range items {
		for f := item.cell.forms.Load(); f != nil; f = f.next {
			held++
		}
	}
	if held != len(cache.slots) || held == 0 {
		t.Errorf("items hold %d forms, the cache knows %d", held, len(cache.slots))
	}
}
