package store_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/store"
)

// schema is a value like a definition's: long, of node n1, and much the same all over.
func schema(n int) string {
	var b strings.Builder
	b.WriteString("n1:")
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "field%d: the description of a field of type string; ", i)
	}
	return b.String()[:n]
}

// noise cannot be packed.
func noise(n int) string {
	b := []byte("n1:")
	r := rand.New(rand.NewPCG(1, 2))
	for len(b) < n {
		b = append(b, byte(r.Uint32()))
	}
	return string(b)
}

// TestLargeValuesAreHeldPacked: who reads an item sees what was written, whatever it takes in memory; and in memory it takes what the comment of packFrom says.
func TestLargeValuesAreHeldPacked(t *testing.T) {
	for _, c := range []struct {
		what, value string
		packed      bool
	}{
		{"short", schema(16<<10 - 1), false},
		{"long", schema(16 << 10), true},
		{"very long", schema(900 << 10), true},
		{"noise", noise(100 << 10), false},
	} {
		opts := inMemory()
		look := func(t *testing.T, s *store.Store) {
			t.Helper()
			item := s.Snapshot().Get(prefix + "x")
			if item.Size() != len(c.value) || string(item.Value()) != c.value || !item.Is([]byte(c.value)) || item.Is([]byte(c.value[1:])) {
				t.Errorf("%s: the item of %d bytes is not what was written", c.what, item.Size())
			}
			if got := item.Held() < item.Size()/2; got != c.packed || !c.packed && item.Held() != item.Size() {
				t.Errorf("%s: %d bytes are held in %d, packed is to be %v", c.what, item.Size(), item.Held(), c.packed)
			}
			if got := names(s.Snapshot().Lookup(prefix, "node", "n1")); got != "x="+c.value {
				t.Errorf("%s: the index has %.20q", c.what, got)
			}
			if object, err := item.Object(); err != nil || object != "n1" {
				t.Errorf("%s: the object is %v, %v", c.what, object, err)
			}
		}
		t.Run(c.what, func(t *testing.T) {
			s := start(t, opts, 0)
			put(t, s, "x", c.value)
			look(t, s)
			if head, ok := s.Head(prefix + "x"); !ok || !head.Is([]byte(c.value)) {
				t.Errorf("the head is not what was written (%v)", ok)
			}
		})
		t.Run(c.what+", read back", func(t *testing.T) { look(t, start(t, opts, 0)) })
	}
}

// TestExpandedValues: what a caller is given of a packed item is its own, and what a scratch gives lasts until the next.
func TestExpandedValues(t *testing.T) {
	s := start(t, inMemory(), 0)
	one, two := schema(40<<10), "n2:"+schema(30<<10)
	put(t, s, "a", one, "b", two, "c", "n3")
	a, b, c := s.Snapshot().Get(prefix+"a"), s.Snapshot().Get(prefix+"b"), s.Snapshot().Get(prefix+"c")
	clear(a.Value())
	if !a.Is([]byte(one)) {
		t.Error("an item has changed with what a caller was given")
	}
	var scratch store.Scratch
	first := scratch.Value(a)
	if string(first) != one {
		t.Error("the scratch gives something else")
	}
	if second := scratch.Value(b); string(second) != two || &first[0] != &second[0] {
		t.Error("the scratch was not used again, or gives something else")
	}
	if small := scratch.Value(c); string(small) != "n3" || &small[0] != &c.Value()[0] {
		t.Error("a short value was copied")
	}
}

// TestRestingRingsShrink: what was replaced in a burst is let go of when it is old, though nothing is written any more.
func TestRestingRingsShrink(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Now())
	opts := inMemory()
	opts.Clock = clock
	s := startWith(t, opts, store.Config{RingBytes: 800 << 10, Clock: clock})
	for i := range 30 {
		put(t, s, "x", noise(20<<10)+fmt.Sprint(i))
	}
	full := s.Stats().EventBytes
	s.Sweep()
	if got := s.Stats().EventBytes; got != full || full < 500<<10 {
		t.Errorf("the rings have %d bytes, and %d after a sweep at once", full, got)
	}
	clock.Step(2 * time.Minute)
	s.Sweep()
	if got := s.Stats().EventBytes; got > 100<<10 {
		t.Errorf("the rings have %d bytes after a rest, want an eighth of their limit", got)
	}
}

// BenchmarkValue reads values as they are held: a pod's whole, a definition's packed.
func BenchmarkValue(b *testing.B) {
	s := start(b, inMemory(), 0)
	for _, size := range []int{2 << 10, 120 << 10} {
		key := fmt.Sprint(size)
		put(b, s, key, schema(size))
		item := s.Snapshot().Get(prefix + key)
		for _, scratch := range []*store.Scratch{nil, {}} {
			b.Run(fmt.Sprintf("bytes=%d/held=%d/scratch=%v", size, item.Held(), scratch != nil), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if v := scratch.Value(item); !bytes.HasPrefix(v, []byte("n1:")) {
						b.Fatal("something else was read")
					}
				}
			})
		}
	}
}
