package pebble

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/floe-k8s/floe/internal/store"
)

// TestUnsyncedLasts holds that a log without syncs is there again when its process is.
func TestUnsyncedLasts(t *testing.T) {
	dir := t.TempDir()
	for i, fs := range []vfs.FS{Unsynced(), Unsynced(), nil} { // the last is synced, and finds the same
		l, err := Open(Options{Dir: dir, FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.Sync(t.Context()); err != nil || got != store.Revision(i) {
			t.Errorf("opened for the %d. time: %v and revision %d, want %d", i+1, err, got, i)
		}
		if _, err := l.Append(t.Context(), change(fmt.Sprint(i), "1")); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMemoryIsApart holds that two logs in memory, of the same name, have nothing in common.
func TestMemoryIsApart(t *testing.T) {
	for range 2 {
		l, err := Open(Options{Dir: "/log", FS: Memory()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if got, err := l.Sync(t.Context()); err != nil || got != 0 {
			t.Errorf("a new log: %v and revision %d, want 0", err, got)
		}
		if _, err := l.Append(t.Context(), change("a", "1")); err != nil {
			t.Error(err)
		}
	}
}
