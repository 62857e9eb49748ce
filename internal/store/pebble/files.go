package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/floe-k8s/floe/internal/store"
)

const (
	versionFile = "VERSION"
	versionText = "floe log 2\n"
	reachedFile = "REACHED"
	newSuffix   = ".new"
)

// checkVersion refuses a directory that is not ours, and marks an empty one as ours. A crash in it leaves the
// directory empty but for the new file, and the next Open repeats it.
func checkVersion(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	text, err := readFile(fsys, fsys.PathJoin(dir, versionFile))
	switch {
	case err == nil && text == versionText:
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s says %q, want %q; use the floe that wrote it", ErrVersion, versionFile, text, versionText)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, name := range names {
		if name != versionFile+newSuffix {
			return fmt.Errorf("%w: found %s; name another directory", ErrForeign, name)
		}
	}
	return writeVersion(fsys, dir)
}

func writeVersion(fsys vfs.FS, dir string) error {
	return writeFile(fsys, dir, versionFile, versionText)
}

// writeFile puts a small file in its place whole, and durable.
func writeFile(fsys vfs.FS, dir, name, text string) error {
	temp := fsys.PathJoin(dir, name+newSuffix)
	f, err := fsys.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, fsys.PathJoin(dir, name)); err != nil {
		return err
	}
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readFile(fsys vfs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	// Longer than any version that will ever be: a foreign file is not read whole.
	b, err := io.ReadAll(io.LimitReader(f, 256))
	return string(b), errors.Join(err, f.Close())
}

// witness notes what is durable, in a file apart from pebble's. Pebble cannot tell a log that was cut at its end from one that was
// never longer; the note can.
func (l *Log) witness() error {
	rev := l.durable()
	if rev == l.noted {
		return nil
	}
	if err := writeFile(l.disk.fs, l.disk.dir, reachedFile, strconv.FormatUint(uint64(rev), 10)+"\n"); err != nil {
		return fmt.Errorf("note the revision reached in %s: %w", reachedFile, err)
	}
	l.noted = rev
	return nil
}

// errCut says that records are missing at the end.
var errCut = errors.New("the log ends too early: a file in it was cut or is an older copy")

// checkWitness holds what was found against what was noted.
func checkWitness(fsys vfs.FS, dir string, last store.Revision) error {
	reached, err := reachedIn(fsys, dir)
	if err == nil && reached > last {
		err = fmt.Errorf("it ends at revision %d and had reached %d: %w", last, reached, errCut)
	}
	return err
}

// Reached returns the revision that the log in dir is noted to have reached, whether it can be opened or not; 0: nothing is noted.
func Reached(dir string) (store.Revision, error) { return reachedIn(vfs.Default, dir) }

// reachedIn reads the note. One that cannot be read, of a crash while it was made, says nothing.
func reachedIn(fsys vfs.FS, dir string) (store.Revision, error) {
	text, err := readFile(fsys, fsys.PathJoin(dir, reachedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	reached, err := strconv.ParseUint(strings.TrimSuffix(text, "\n"), 10, 64)
	if err != nil {
		return 0, nil
	}
	return store.Revision(reached), nil
}
