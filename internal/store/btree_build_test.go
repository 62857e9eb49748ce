package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// keysOf are n keys in order.
func keysOf(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%c/%07d", 'a'+rune(3*i/n), i)
	}
	return keys
}

func built(keys []string) tree[int] {
	var b builder[int]
	for i, key := range keys {
		b.add(key, i)
	}
	return b.done()
}

// TestBuildMatchesInsertion builds trees of every size up to some levels, and some larger ones, and compares them with those that grew.
func TestBuildMatchesInsertion(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	grown := tree[int]{}.edit()
	keys := keysOf(3200)
	for n := range keys {
		checkBuilt(t, rng, keys[:n], tree[int]{grown.root})
		grown.set(keys[n], n)
	}
	for range 12 {
		keys := keysOf(3200 + rng.IntN(60_000))
		grown := tree[int]{}.edit()
		for i, key := range keys {
			grown.set(key, i)
		}
		checkBuilt(t, rng, keys, grown.done())
	}
}

func checkBuilt(t *testing.T, rng *rand.Rand, keys []string, want tree[int]) {
	t.Helper()
	tr := built(keys)
	checkShape(t, tr)
	values := func(tr tree[int]) []int {
		var all []int
		tr.ascend("", "", func(v int) bool { all = append(all, v); return true })
		return all
	}
	got := values(tr)
	if !slices.Equal(got, values(want)) || len(got) != len(keys) {
		t.Fatalf("of %d keys: got %d, or their order differs", len(keys), len(got))
	}
	for range min(8, len(keys)) {
		i := rng.IntN(len(keys))
		if v, ok := tr.get(keys[i]); !ok || v != i || tr.rank(keys[i]) != i {
			t.Fatalf("of %d keys: %s is %d %v at %d, want %d", len(keys), keys[i], v, ok, tr.rank(keys[i]), i)
		}
	}
	checkEdited(t, rng, tr, keys)
	if !slices.Equal(got, values(tr)) {
		t.Fatalf("of %d keys: an edit changed the tree that it came from", len(keys))
	}
}

// checkEdited edits a tree that was built, most of all at its right edge, where nodes are not full.
func checkEdited(t *testing.T, rng *rand.Rand, tr tree[int], keys []string) {
	t.Helper()
	edit := tr.edit()
	want := len(keys)
	for _, key := range keys[max(0, len(keys)-rng.IntN(40)):] {
		edit.remove(key)
		want--
	}
	for i := range rng.IntN(40) {
		edit.set(fmt.Sprintf("x/%d", i), i)
		want++
	}
	edited := edit.done()
	checkShape(t, edited)
	n := 0
	edited.ascend("", "", func(int) bool { n++; return true })
	if n != want {
		t.Fatalf("of %d keys: %d after edits, want %d", len(keys), n, want)
	}
}

// checkShape holds a tree to the rules of its nodes.
func checkShape(t *testing.T, tr tree[int]) {
	t.Helper()
	if tr.root == nil {
		return
	}
	depths := map[int]bool{}
	last, total := "", 0
	var walk func(n *node[int], depth int)
	walk = func(n *node[int], depth int) {
		switch {
		case len(n.entries) > maxEntries, n != tr.root && len(n.entries) < minEntries, len(n.entries) == 0:
			t.Fatalf("a node of a tree of %d has %d entries", tr.root.size, len(n.entries))
		case !n.leaf() && len(n.children) != len(n.entries)+1:
			t.Fatalf("a node has %d entries and %d children", len(n.entries), len(n.children))
		case cap(n.entries) > maxEntries+1, cap(n.children) > maxEntries+1: // what is allocated comes in steps
			t.Fatalf("a node has room for %d entries and %d children", cap(n.entries), cap(n.children))
		}
		before := total
		for i := range n.entries {
			if !n.leaf() {
				walk(n.children[i], depth+1)
			}
			if n.entries[i].key <= last {
				t.Fatalf("%q after %q", n.entries[i].key, last)
			}
			last = n.entries[i].key
			total++
		}
		if n.leaf() {
			depths[depth] = true
		} else {
			walk(n.children[len(n.entries)], depth+1)
		}
		if total-before != n.size {
			t.Fatalf("a node counts %d, has %d", n.size, total-before)
		}
	}
	walk(tr.root, 0)
	if len(depths) != 1 {
		t.Fatalf("a tree of %d has leaves at the depths %v", total, slices.Sorted(maps.Keys(depths)))
	}
}

// TestBuildIsFull: a table's nodes are what it costs beside the objects.
func TestBuildIsFull(t *testing.T) {
	tr := built(keysOf(100_000))
	nodes := 0
	var walk func(*node[int])
	walk = func(n *node[int]) {
		nodes++
		for _, c := range n.children {
			walk(c)
		}
	}
	walk(tr.root)
	if least := (100_000 + maxEntries - 1) / maxEntries; nodes > least+8 {
		t.Errorf("%d nodes, want at most %d and the right edge", nodes, least)
	}
}

// TestGrownHoldsItsOwn: what a split leaves behind and what an insertion adds is not kept as empty room.
func TestGrownHoldsItsOwn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	keys := keysOf(20_000)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var tr tree[int]
	for i, key := range keys {
		edit := tr.edit()
		edit.set(key, i)
		tr = edit.done()
	}
	checkShape(t, tr)
	used, room := 0, 0
	var walk func(*node[int])
	walk = func(n *node[int]) {
		used, room = used+len(n.entries), room+cap(n.entries)
		for _, c := range n.children {
			walk(c)
		}
	}
	walk(tr.root)
	if room > used*5/4 {
		t.Errorf("%d entries take room for %d", used, room)
	}
}

func BenchmarkTree(b *testing.B) {
	keys := keysOf(100_000)
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			built(keys)
		}
	})
	b.Run("insert", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			edit := tree[int]{}.edit()
			for i, key := range keys {
				edit.set(key, i)
			}
			edit.done()
		}
	})
}
