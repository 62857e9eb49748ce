package image

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lease is work that adds content: a directory for what is not finished, and the list of the content that must stay although nothing refers to
// it yet. It lasts as long as its process holds the lock on its file, so what a killed one leaves is known to be nobody's.
type lease struct {
	store *Store
	dir   string
	file  *os.File
}

const leaseFile = "keep"

// newLease takes a lease on the content of these digests and chain IDs.
func (s *Store) newLease(content ...string) (*lease, error) {
	unlock, err := s.lock("gc.lock", unix.LOCK_SH) // else a Collect could see the directory before its lock
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(filepath.Join(s.root, "tmp"), "work-")
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, leaseFile), os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	l := &lease{store: s, dir: dir, file: file}
	if err == nil {
		err = l.write(content)
	}
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

// claim keeps more content. What is there when it returns stays until release.
func (l *lease) claim(content ...string) error {
	unlock, err := l.store.lock("gc.lock", unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	return l.write(content)
}

// write is not synced: a lease does not outlive its process.
func (l *lease) write(content []string) error {
	_, err := l.file.WriteString(strings.Join(append(content, ""), "\n"))
	return err
}

// release ends the lease and removes its directory.
func (l *lease) release() error {
	err := os.RemoveAll(l.dir)
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return err
}

// leased marks what leases keep, and removes the directories of those whose process is gone. The caller holds gc.lock exclusively.
func (s *Store) leased(keep map[string]bool) error {
	dir := filepath.Join(s.root, "tmp")
	names, err := dirNames(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		lives, err := readLease(filepath.Join(dir, name, leaseFile), keep)
		if err == nil && !lives {
			s.crash("remove a dead lease")
			err = os.RemoveAll(filepath.Join(dir, name))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func readLease(path string, keep map[string]bool) (lives bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return false, err
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		keep[lines.Text()] = true
	}
	return true, lines.Err()
}
