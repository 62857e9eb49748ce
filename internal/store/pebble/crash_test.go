package pebble

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/floe-k8s/floe/internal/store"
)

// TestCrashAtEveryWrite cuts the power at the k-th write of a short script, for every k until none is left. What was not
// synced is lost, or, in the second run, survives by chance.
func TestCrashAtEveryWrite(t *testing.T) {
	seed := rand.Uint64()
	t.Run("unsynced is lost", func(t *testing.T) { crashEverywhere(t, vfs.CrashCloneCfg{}) })
	t.Run(fmt.Sprintf("unsynced survives by chance, seed %d", seed), func(t *testing.T) {
		crashEverywhere(t, vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 0))})
	})
}

// journaled syncs a new file's directory entry with the file, as ext4, xfs and btrfs do. Pebble relies on it: it names a manifest
// in a marker before it syncs the directory that holds both, and a disk that kept the marker only could not be opened.
type journaled struct{ vfs.FS }

type journaledFile struct {
	vfs.File
	syncDir func() error
}

func (j journaled) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := j.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return journaledFile{f, func() error {
		dir, err := j.OpenDir(j.PathDir(name))
		if err != nil {
			return err
		}
		return errors.Join(dir.Sync(), dir.Close())
	}}, nil
}

func (f journaledFile) Sync() error     { return errors.Join(f.File.Sync(), f.syncDir()) }
func (f journaledFile) SyncData() error { return errors.Join(f.File.SyncData(), f.syncDir()) }

func crashEverywhere(t *testing.T, cfg vfs.CrashCloneCfg) {
	for k := 1; ; k++ {
		disk := vfs.NewCrashableMem()
		base := vfs.FS(disk)
		if cfg.UnsyncedDataPercent > 0 {
			base = journaled{disk}
		}
		var writes atomic.Int64
		var after atomic.Pointer[vfs.MemFS]
		fs := errorfs.Wrap(base, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && writes.Add(1) == int64(k) {
				after.Store(disk.CrashClone(cfg))
			}
			return nil
		}))
		acknowledged := crashScript(t, fs, func() bool { return after.Load() != nil })
		if after.Load() == nil {
			if k < 20 {
				t.Fatalf("the script made only %d writes", k-1)
			}
			t.Logf("%d crashes", k-1)
			return
		}
		checkCrash(t, k, after.Load(), acknowledged)
	}
}

const crashSteps = 12

// crashScript writes pairs of keys and returns how many were acknowledged before the crash.
func crashScript(t *testing.T, fs vfs.FS, crashed func() bool) int {
	t.Helper()
	acknowledged := 0
	opts := Options{Dir: "log", FS: fs}
	l := mustOpen(t, opts)
	for i := range crashSteps {
		v := []byte(fmt.Sprint(i))
		_, err := l.Append(t.Context(), store.Txn{Changes: []store.Change{{Key: "a", Value: v}, {Key: "b", Value: v}, {Key: "n" + string(v), Value: v}}})
		if err != nil {
			t.Fatal(err)
		}
		if !crashed() {
			acknowledged++
		}
		if i == crashSteps/2 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, opts)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return acknowledged
}

func checkCrash(t *testing.T, k int, disk *vfs.MemFS, acknowledged int) {
	t.Helper()
	l, err := Open(Options{Dir: "log", FS: disk})
	if err != nil {
		t.Fatalf("crash at write %d: %v", k, err)
	}
	defer l.Close()
	got := map[string]string{}
	rev, err := l.Load(t.Context(), func(r store.Record) error {
		got[r.Key] = string(r.Value)
		return nil
	})
	if err != nil {
		t.Fatalf("crash at write %d: load: %v", k, err)
	}
	txns := int(rev) / 3
	if txns < acknowledged || rev%3 != 0 || got["a"] != got["b"] {
		t.Fatalf("crash at write %d: revision %d, %d transactions acknowledged, a=%q b=%q", k, rev, acknowledged, got["a"], got["b"])
	}
	for i := range txns {
		if got[fmt.Sprint("n", i)] != fmt.Sprint(i) {
			t.Fatalf("crash at write %d: n%d is lost of %d", k, i, txns)
		}
	}
	revs, err := l.Append(t.Context(), change("a", "again"))
	if err != nil || revs[0] <= rev {
		t.Fatalf("crash at write %d: append: %v, %v after %d", k, err, revs, rev)
	}
}
