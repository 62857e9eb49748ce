package pebble

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/store"
)

const remedy = "restore the newest snapshot"

// contentsOf opens a log and returns how many records it holds.
func contentsOf(opts Options) (n int, err error) {
	l, err := Open(opts)
	if err != nil {
		return 0, err
	}
	_, err = l.Load(context.Background(), func(store.Record) error { n++; return nil })
	if closing := l.Close(); err == nil {
		err = closing
	}
	return n, err
}

const damagedKeys = 2000

// written makes a log on disk. Closed, all of it is in tables; else it is as a killed process leaves it, with what it had reached noted.
func written(t *testing.T, closed bool) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "log")
	clk := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	l := mustOpen(t, Options{Dir: dir, Clock: clk})
	for i := range damagedKeys / 50 {
		var txn store.Txn
		for j := range 50 {
			txn.Changes = append(txn.Changes, store.Change{Key: fmt.Sprintf("/pods/%d-%d", i, j), Value: fmt.Appendf(nil, "%d %x", i, make([]byte, 40))})
		}
		if _, err := l.Append(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
	}
	if closed {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if err := l.witness(); err != nil { // as the pruner does every few seconds
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "log")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return killed
}

// largest returns the file of a pattern that has most bytes.
func largest(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	best, most := "", int64(0)
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most {
			best, most = name, info.Size()
		}
	}
	if best == "" {
		t.Fatalf("no %s in %s", pattern, dir)
	}
	return best
}

// TestDamagedFiles damages one file of a log. Opening or loading says so, with the file or the directory and what to do, and changes
// nothing: with the file put back, everything is there.
func TestDamagedFiles(t *testing.T) {
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	flip := func(b []byte) []byte { b[len(b)/2] ^= 0x40; return b }
	for _, c := range []struct {
		name, pattern string
		closed        bool
		damage        func([]byte) []byte
	}{
		{"a table is cut", "*.sst", true, cut},
		{"a byte of a table is wrong", "*.sst", true, flip},
		{"a table is gone", "*.sst", true, nil},
		{"the manifest is cut", "MANIFEST-*", true, cut},
		{"the manifest is gone", "MANIFEST-*", true, nil},
		{"the newest records are cut off", "*.log", false, cut},
		{"a byte of the newest records is wrong", "*.log", false, flip},
		{"the newest records are gone", "*.log", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := written(t, c.closed)
			file := largest(t, dir, c.pattern)
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if c.damage == nil {
				err = os.Remove(file)
			} else {
				err = os.WriteFile(file, c.damage([]byte(string(whole))), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			damaged := filepath.Join(t.TempDir(), "damaged") // what opening may tidy up is a copy's
			if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			n, err := contentsOf(Options{Dir: damaged})
			if err == nil && n == damagedKeys {
				return // what was damaged was not needed
			}
			if err == nil || !strings.Contains(err.Error(), remedy) || !strings.Contains(err.Error(), damaged) {
				t.Errorf("got %d records and %v, want an error that names %s and says %q", n, err, damaged, remedy)
			}
			t.Log(err)
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			if n, err := contentsOf(Options{Dir: dir}); err != nil || n != damagedKeys {
				t.Errorf("with the file put back: %d records, %v", n, err)
			}
		})
	}
}

// TestSecondProcess opens a log that another process has open.
func TestSecondProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := mustOpen(t, Options{Dir: dir})
	defer l.Close()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killedDir+"="+dir)
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), ErrInUse.Error()) || !strings.Contains(string(out), dir) {
		t.Errorf("second process: %v, %s", err, out)
	}
	if _, err := l.Append(t.Context(), change("a", "1")); err != nil {
		t.Errorf("the first process: %v", err)
	}
}

// smallDisk tells how much is free.
type smallDisk struct {
	vfs.FS
	free atomic.Int64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(d.free.Load()), TotalBytes: 1 << 30}, nil
}

// TestFullDisk lets the disk run full: writes are refused in time, deletions and reads go on, the reserve is given back and taken
// again.
func TestFullDisk(t *testing.T) {
	disk := &smallDisk{FS: vfs.NewMem()}
	disk.free.Store(1 << 30)
	l := mustOpen(t, Options{Dir: "log", FS: disk, Space: Space{Free: 100 << 20, Reserve: 10 << 20}})
	reserved := func() bool { l.disk.reserve(); _, err := disk.Stat("log/" + reserveFile); return err == nil }
	if _, err := l.Append(t.Context(), change("a", "1")); err != nil || !reserved() {
		t.Fatalf("with room: %v, reserved %v", err, reserved())
	}
	disk.free.Store(99 << 20)
	for range 2 {
		_, err := l.Append(t.Context(), change("b", "1"))
		if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "99 MiB are free on the disk of log, and 100 MiB are kept free") || reserved() {
			t.Errorf("without room: %v, reserved %v", err, reserved())
		}
	}
	if n, err := l.Load(t.Context(), func(store.Record) error { return nil }); err != nil || n != 1 {
		t.Errorf("read without room: revision %d, %v", n, err)
	}
	if _, err := l.Append(t.Context(), store.Txn{Changes: []store.Change{{Key: "a"}}}); err != nil {
		t.Errorf("delete without room: %v", err)
	}
	disk.free.Store(105 << 20) // not enough for the reserve as well
	if _, err := l.Append(t.Context(), change("b", "1")); !errors.Is(err, store.ErrFull) {
		t.Errorf("with a little room: %v", err)
	}
	disk.free.Store(1 << 30)
	if _, err := l.Append(t.Context(), change("b", "1")); err != nil || !reserved() {
		t.Errorf("with room again: %v, reserved %v", err, reserved())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFailingDisk lets every write fail from one moment on, at the start of a log or under it. What was acknowledged is there when the disk
// works again.
func TestFailingDisk(t *testing.T) {
	for _, c := range []struct {
		cause  error
		remedy string
	}{{syscall.EROFS, "make the file system writable"}, {syscall.ENOSPC, "free some space"}} {
		t.Run(c.cause.Error(), func(t *testing.T) {
			var broken atomic.Bool
			disk := vfs.NewMem()
			fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					return &os.PathError{Op: "write", Path: op.Path, Err: c.cause}
				}
				return nil
			}))
			l := mustOpen(t, Options{Dir: "log", FS: fs})
			if _, err := l.Append(t.Context(), change("a", "1")); err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			if _, err := l.Append(t.Context(), change("b", "1")); !errors.Is(err, store.ErrClosed) || !strings.Contains(err.Error(), c.cause.Error()) || !strings.Contains(err.Error(), c.remedy) {
				t.Errorf("append: got %v", err)
			}
			_ = l.Close() // it says again what failed
			if _, err := Open(Options{Dir: "log", FS: fs}); !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.remedy) || !strings.Contains(err.Error(), "log") {
				t.Errorf("open: got %v", err)
			}
			broken.Store(false)
			if n, err := contentsOf(Options{Dir: "log", FS: disk}); err != nil || n != 1 {
				t.Errorf("after it: %d records, %v", n, err)
			}
		})
	}
}
