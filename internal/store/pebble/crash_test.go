package pebble

import (
	"errors"
	"fmt"
	"maps"
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
		acknowledged, compacted := crashScript(t, fs, func() bool { return after.Load() != nil })
		if after.Load() == nil {
			if k < 20 {
				t.Fatalf("the script made only %d writes", k-1)
			}
			t.Logf("%d crashes", k-1)
			return
		}
		checkCrash(t, k, after.Load(), acknowledged, compacted)
	}
}

// crashTxns is the script: every kind of transaction, with what it makes of the state.
func crashTxns() (txns []store.Txn) {
	set := func(key string, n int, minor bool) store.Change {
		return store.Change{Key: key, Value: fmt.Append(nil, n), Minor: minor}
	}
	for i := range 12 {
		txn := store.Txn{Changes: []store.Change{set("a", i, false), set("b", i, false), set("lease", i, true), set(fmt.Sprint("n", i), i, false)}}
		if i%3 == 2 {
			txn.Changes = append(txn.Changes, store.Change{Key: fmt.Sprint("n", i-1)})
		}
		txns = append(txns, txn)
	}
	return txns
}

// crashStates are the states after each transaction, by revision.
func crashStates() map[store.Revision]map[string]string {
	state, rev := map[string]string{}, store.Revision(0)
	states := map[store.Revision]map[string]string{0: {}}
	for _, txn := range crashTxns() {
		for _, c := range txn.Changes {
			rev++
			if c.Value == nil {
				delete(state, c.Key)
			} else {
				state[c.Key] = string(c.Value)
			}
		}
		states[rev] = maps.Clone(state)
	}
	return states
}

// crashScript runs the script, with a restart and compactions in it, and returns the newest revision that was acknowledged before the
// crash, and how far history had been compacted when it came.
func crashScript(t *testing.T, fs vfs.FS, crashed func() bool) (acknowledged, compacted store.Revision) {
	t.Helper()
	opts := Options{Dir: "log", FS: fs}
	l := mustOpen(t, opts)
	for i, txn := range crashTxns() {
		revs, err := l.Append(t.Context(), txn)
		if err != nil {
			t.Fatal(err)
		}
		last := revs[len(revs)-1]
		if !crashed() {
			acknowledged = last
		}
		switch i {
		case 3, 8:
			if !crashed() {
				compacted = last - 6
			}
			if err := l.Compact(t.Context(), last-6); err != nil {
				t.Fatal(err)
			}
		case 5:
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, opts)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return acknowledged, compacted
}

func checkCrash(t *testing.T, k int, disk *vfs.MemFS, acknowledged, compacted store.Revision) {
	t.Helper()
	l, err := Open(Options{Dir: "log", FS: disk})
	if err != nil {
		t.Fatalf("crash at write %d: %v", k, err)
	}
	defer l.Close()
	got := map[string]string{}
	put := func(r store.Record) error {
		got[r.Key] = string(r.Value)
		return nil
	}
	rev, err := l.Load(t.Context(), put)
	if err != nil {
		t.Fatalf("crash at write %d: load: %v", k, err)
	}
	states := crashStates()
	if want, whole := states[rev]; !whole || rev < acknowledged || !maps.Equal(got, want) {
		t.Fatalf("crash at write %d: revision %d, acknowledged %d, state %v, want %v", k, rev, acknowledged, got, want)
	}
	for at, want := range states {
		clear(got)
		err := l.At(t.Context(), at, "", "", put)
		switch {
		case errors.Is(err, store.ErrExpired) && at < compacted, errors.Is(err, store.ErrFuture) && at > rev:
		case err != nil || !maps.Equal(got, want):
			t.Fatalf("crash at write %d: at revision %d of %d, compacted to %d: %v, %v, want %v", k, at, rev, compacted, got, err, want)
		}
	}
	revs, err := l.Append(t.Context(), change("a", "again"))
	if err != nil || revs[0] <= rev {
		t.Fatalf("crash at write %d: append: %v, %v after %d", k, err, revs, rev)
	}
}
