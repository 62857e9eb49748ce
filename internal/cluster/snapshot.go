package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/backup"
	"github.com/floe-k8s/floe/internal/store/encryption"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// snapshot writes what the running server has.
func (s *server) snapshot(ctx context.Context, w io.Writer) error {
	_, err := backup.Save(ctx, s.log, w, s.saveOptions(s.sealing))
	return err
}

func (e Environment) saveOptions(k *encryption.Keeper) backup.Options {
	return backup.Options{Version: e.Version, Time: e.Clock.Now(), Sealing: sealingOf(k)}
}

// SaveSnapshot writes a snapshot of the cluster's newest state to a file: from the server that runs on the data directory, or, when none
// does, from the log itself. A file that exists is kept unless overwrite is set.
func SaveSnapshot(ctx context.Context, env Environment, file string, overwrite bool) (backup.Summary, error) {
	if len(env.Config.Store.Etcd.Servers) == 0 {
		dir, err := existingDataDir(env.Config.DataDir)
		if errors.Is(err, errInUse) {
			return fetchSnapshot(ctx, env.Config.DataDir, file, overwrite)
		}
		if err != nil {
			return backup.Summary{}, err
		}
		defer dir.close()
	}
	keeper, err := env.openSealing()
	if err != nil {
		return backup.Summary{}, err
	}
	log, err := env.openLog(filepath.Join(env.Config.DataDir, logFolder), 0, codecOf(keeper), nil)
	if err != nil {
		return backup.Summary{}, errors.Join(err, closeSealing(keeper))
	}
	s, err := backup.SaveFile(ctx, log, file, backup.FileOptions{Options: env.saveOptions(keeper), Overwrite: overwrite})
	return s, errors.Join(err, log.Close(), closeSealing(keeper))
}

// existingDataDir locks a data directory that holds a log; errInUse says that a server runs on it, wherever its log is.
func existingDataDir(path string) (*dataDir, error) {
	missing := func(err error) error {
		return fmt.Errorf("data directory %s holds no cluster (name another with --data-dir, or its etcd with --etcd-servers): %w", path, err)
	}
	if _, err := os.Stat(filepath.Join(path, "VERSION")); err != nil {
		return nil, missing(err)
	}
	dir, err := openDataDir(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir.join(logFolder)); err != nil {
		return nil, errors.Join(missing(err), dir.close())
	}
	return dir, nil
}

func fetchSnapshot(ctx context.Context, dataDir, file string, overwrite bool) (backup.Summary, error) {
	return backup.FetchFile(file, overwrite, func(w io.Writer) error {
		body, err := get(ctx, dataDir, wire.SnapshotPath)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, body)
		return errors.Join(err, body.Close())
	})
}

// VerifySnapshot reads a whole snapshot and says what is in it.
func VerifySnapshot(file string) (backup.Summary, error) {
	f, err := os.Open(file)
	if err != nil {
		return backup.Summary{}, err
	}
	defer f.Close()
	s, err := backup.Verify(f)
	if err != nil {
		return backup.Summary{}, fmt.Errorf("snapshot %s: %w", file, err)
	}
	return s, nil
}

// Restored says what RestoreSnapshot did.
type Restored struct {
	backup.Summary
	// Base is the revision above which the restored log goes on.
	Base store.Revision
	// Replaced is where the log that was there before lies now; "": there was none.
	Replaced string
}

// RestoreSnapshot makes the snapshot in a file the cluster's state, while no server runs. On this machine the log that is there is put aside; an etcd has
// to be empty. Revisions go on above every one that clients of either may have seen, so that they list again.
func RestoreSnapshot(ctx context.Context, env Environment, file string) (Restored, error) {
	f, err := os.Open(file)
	if err != nil {
		return Restored{}, err
	}
	defer f.Close()
	s, err := backup.Verify(f)
	if err != nil {
		return Restored{}, fmt.Errorf("snapshot %s: %w", file, err)
	}
	if len(env.Config.Store.Etcd.Servers) > 0 {
		out := Restored{Summary: s, Base: s.Revision + store.RevisionLeap}
		return out, env.restoreInto(ctx, f, "", out.Base)
	}
	return env.restoreLocal(ctx, f, s)
}

func (e Environment) restoreLocal(ctx context.Context, f *os.File, s backup.Summary) (out Restored, err error) {
	dir, err := openDataDir(e.Config.DataDir)
	if err != nil {
		return Restored{}, err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	log := dir.join(logFolder)
	last, err := e.lastRevision(log)
	if err != nil {
		return Restored{}, err
	}
	out = Restored{Summary: s, Base: max(s.Revision, last) + store.RevisionLeap}
	fresh := dir.join(logFolder + ".restoring") // of an attempt that broke off, too
	if err := os.RemoveAll(fresh); err != nil {
		return Restored{}, err
	}
	if err := e.restoreInto(ctx, f, fresh, out.Base); err != nil {
		return Restored{}, errors.Join(err, os.RemoveAll(fresh))
	}
	if _, err := os.Stat(log); err == nil {
		out.Replaced = fmt.Sprintf("%s.replaced-%s", log, e.Clock.Now().UTC().Format("20060102T150405Z"))
		if err := os.Rename(log, out.Replaced); err != nil {
			return Restored{}, err
		}
	}
	if err := os.Rename(fresh, log); err != nil {
		return Restored{}, err
	}
	return out, syncFolder(dir.path)
}

// restoreInto fills a new log.
func (e Environment) restoreInto(ctx context.Context, f *os.File, dir string, base store.Revision) error {
	keeper, err := e.openSealing()
	if err != nil {
		return err
	}
	log, err := e.openLog(dir, base, codecOf(keeper), nil)
	if err != nil {
		return errors.Join(err, closeSealing(keeper))
	}
	_, err = backup.Restore(ctx, f, log, sealingOf(keeper))
	return errors.Join(err, log.Close(), closeSealing(keeper))
}

// lastRevision is the newest one that a log, damaged or not, is known to have reached; 0: there is none.
func (e Environment) lastRevision(dir string) (store.Revision, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	log, err := e.openLocal(dir, 0, nil) // values are not looked at
	if err != nil {
		e.Log.Warn("the log that is replaced cannot be opened", "err", err)
		return pebble.Reached(dir)
	}
	rev, err := log.Sync(context.Background())
	return rev, errors.Join(err, log.Close())
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
