package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/floe-k8s/floe/internal/pki"
)

// dataFormat is the format of the data directory that this floe reads and writes.
const dataFormat = "floe data directory, format 1"

// errInUse: another process holds the directory's lock.
var errInUse = errors.New("is in use by another floe (its LOCK is held)")

// dataDir is a locked data directory.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory when it is absent or empty, checks that it is one of floe's, and locks it.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := checkVersion(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("data directory %s %w: stop that one, or choose another --data-dir", path, errInUse)
	}
	return &dataDir{path: path, lock: lock}, nil
}

func checkVersion(path string) error {
	file := filepath.Join(path, "VERSION")
	found, err := os.ReadFile(file)
	switch {
	case err == nil && strings.TrimSpace(string(found)) == dataFormat:
		return nil
	case err == nil:
		return fmt.Errorf("%s says %.80q, this floe reads %q: use the floe that wrote it, or choose another --data-dir", file, found, dataFormat)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("data directory: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	for _, e := range entries {
		// images/ may have been filled before the first start.
		if name := e.Name(); name != "images" && name != "bin" && name != "LOCK" && name != "lost+found" {
			return fmt.Errorf("data directory %s has no VERSION file but holds %q, so it is not floe's: choose another --data-dir", path, name)
		}
	}
	return pki.WriteFile(file, []byte(dataFormat+"\n"), 0o600)
}

// join is the path of what stands in the directory.
func (d *dataDir) join(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

func (d *dataDir) close() error { return d.lock.Close() }
