package pebble

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// settled is a log whose database has moved many large values down to its last level, as that of a cluster with a thousand definitions.
func settled(tb testing.TB) *Log {
	tb.Helper()
	l := mustOpen(tb, Options{Dir: "log", FS: vfs.NewMem()})
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	for i := range 300 {
		if _, err := l.Append(tb.Context(), change(fmt.Sprintf("/registry/large/%d", i), strings.Repeat(fmt.Sprint(i), 20_000))); err != nil {
			tb.Fatal(err)
		}
	}
	if err := l.db.Compact(tb.Context(), []byte{0}, []byte{255}, false); err != nil {
		tb.Fatal(err)
	}
	return l
}

// TestAbsentKeysReadNoBlock asks a settled log for keys that it has not, as creating objects does: filters answer, those of the last level too, which pebble asks
// only when told to. One in a hundred that a filter cannot tell is what ten bits for each key give.
func TestAbsentKeysReadNoBlock(t *testing.T) {
	l := settled(t)
	const asked = 1000
	before := l.db.Metrics().Filter
	for i := range asked {
		if at, err := l.newest(fmt.Sprintf("/registry/large/%d-absent", i)); err != nil || at.revision != 0 {
			t.Fatalf("%+v, %v", at, err)
		}
	}
	after := l.db.Metrics().Filter
	if hits, misses := after.Hits-before.Hits, after.Misses-before.Misses; hits < asked*95/100 || misses > asked*5/100 {
		t.Errorf("%d keys that are absent: filters said so %d times, and could not tell %d times", asked, hits, misses)
	}
	if at, err := l.newest("/registry/large/7"); err != nil || at.revision == 0 {
		t.Errorf("a key that is there: %+v, %v", at, err)
	}
}

// BenchmarkAbsentKey is finding that a key is absent from a settled log, which every create waits for.
func BenchmarkAbsentKey(b *testing.B) {
	l := settled(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if _, err := l.readPlace(fmt.Sprintf("/registry/large/%d-absent", n)); err != nil {
			b.Fatal(err)
		}
	}
}
