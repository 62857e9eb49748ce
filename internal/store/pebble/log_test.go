package pebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener { return fresh(t).Open })
}

func TestScripts(t *testing.T) {
	storetest.Scripts(t, "../storetest/testdata", fresh)
	storetest.Scripts(t, "testdata", fresh)
}

func fresh(*testing.T) storetest.Place {
	clk := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	opts := Options{Dir: "log", FS: vfs.NewMem(), Clock: clk}
	// The ticker is not for scripts: they say themselves when to prune.
	return storetest.Place{Open: func() (store.Log, error) { return open(opts) }, Clock: clk, Advance: func(by time.Duration) { clk.SetTime(clk.Now().Add(by)) }}
}

// open keeps a nil *Log from becoming a store.Log that is not nil.
func open(opts Options) (store.Log, error) {
	l, err := Open(opts)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func mustOpen(t testing.TB, opts Options) *Log {
	t.Helper()
	l, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func change(key, value string) store.Txn {
	return store.Txn{Changes: []store.Change{{Key: key, Value: []byte(value)}}}
}

func TestOpenRefuses(t *testing.T) {
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		want    error
	}{
		{"foreign directory", write("photo.jpg", "x"), ErrForeign},
		{"other version", write(versionFile, "floe log 3\n"), ErrVersion},
		{"in use", func(t *testing.T, dir string) {
			l := mustOpen(t, Options{Dir: dir})
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
		}, ErrInUse},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.prepare(t, dir)
			_, err := Open(Options{Dir: dir})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want %v naming %s", err, c.want, dir)
			}
		})
	}
}

// TestDamage writes bytes that are no record under the keys of the log.
func TestDamage(t *testing.T) {
	good := encodeVersion(nil, &store.Record{Revision: 7, Key: "k", Value: []byte("v"), Last: true}, 0, []byte("v"), false)
	for _, c := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"empty", nil, "damaged"},
		{"garbage", []byte{1, 0, 0xff, 0xff, 0xff}, "damaged"},
		{"unknown flag", append([]byte{1, 0x80}, good[2:]...), "damaged"},
		{"future format", append([]byte{9}, good[1:]...), "format 9"},
		{"sealed", append([]byte{1, flagSealed}, good[2:]...), "no encryption is configured"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := mustOpen(t, Options{Dir: "log", FS: vfs.NewMem()})
			defer l.Close()
			if err := errors.Join(l.db.Set(versionKey(nil, "k", 7), c.bytes, pebble.Sync), l.db.Set(rowKey(7), encodeRow(nil, &row{key: "k", last: true}), pebble.Sync)); err != nil {
				t.Fatal(err)
			}
			l.mu.Lock()
			l.mu.durable = 7
			l.mu.Unlock()
			_, err := l.Load(t.Context(), func(store.Record) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"k"`) {
				t.Errorf("got %v, want an error with %q that names the key", err, c.want)
			}
		})
	}
}

func FuzzDecodeVersion(f *testing.F) {
	record := store.Record{Revision: 7, Previous: 3, Key: "k", Value: []byte("v"), Actor: "a", Cause: "c", Last: true}
	f.Add(encodeVersion(nil, &record, 2, record.Value, false))
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, sealed, err := decodeVersion(b)
		if err != nil {
			return
		}
		again, _, err := decodeVersion(encodeVersion(nil, &v.Record, v.gap, v.Value, sealed))
		if err != nil || again.gap != v.gap || !reflect.DeepEqual(again.Record, v.Record) {
			t.Errorf("version %+v became %+v: %v", v, again, err)
		}
	})
}

func FuzzDecodeRow(f *testing.F) {
	f.Add(encodeRow(nil, &row{key: "k", previous: 3, size: 4, replaced: 5, last: true, overMinor: true}))
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRow(b)
		if err != nil {
			return
		}
		if again, err := decodeRow(encodeRow(nil, &r)); err != nil || again != r {
			t.Errorf("row %+v became %+v: %v", r, again, err)
		}
	})
}

// TestFailedSyncEndsTheLog lets every sync fail from one moment on.
func TestFailedSyncEndsTheLog(t *testing.T) {
	var broken atomic.Bool
	errDisk := errors.New("disk is on fire")
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			return errDisk
		}
		return nil
	}))
	l := mustOpen(t, Options{Dir: "log", FS: fs})
	if _, err := l.Append(t.Context(), change("a", "1")); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	for i := range 3 {
		_, err := l.Append(t.Context(), change("a", "2"))
		if !errors.Is(err, store.ErrClosed) || !strings.Contains(err.Error(), errDisk.Error()) {
			t.Errorf("append %d after the failure: got %v", i, err)
		}
	}
	if err := l.Follow(t.Context(), 1, storetest.Apply(func([]store.Record) error { return nil })); !errors.Is(err, store.ErrClosed) {
		t.Errorf("follow after the failure: got %v", err)
	}
	broken.Store(false)
	if err := l.Close(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("close: got %v, want the failure", err)
	}
}

func TestFollowLive(t *testing.T) {
	l := mustOpen(t, Options{Dir: "log", FS: vfs.NewMem(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan store.Record)
	ended := make(chan error, 1)
	go func() {
		ended <- l.Follow(ctx, 0, storetest.Apply(func(txn []store.Record) error {
			seen <- txn[0]
			return nil
		}))
	}()
	for i := range 10 {
		revs, err := l.Append(t.Context(), change("k", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		// Since the first record there is a follower, and it has not applied this one: the head must still know it.
		if r, ok := l.Head("k"); i > 0 && (!ok || r.Revision != revs[0]) {
			t.Errorf("head: got %v %v, want revision %d", r.Revision, ok, revs[0])
		}
		if r := <-seen; r.Revision != revs[0] {
			t.Errorf("follower: got %d, want %d", r.Revision, revs[0])
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("follow: %v", err)
	}
}
