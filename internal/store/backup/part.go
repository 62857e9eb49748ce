package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// partSuffix names the file that a snapshot is written to before it is whole.
const partSuffix = ".part"

// partTries bounds how often two saves that begin at once may take each other's new part for an old one.
const partTries = 16

var errBusy = errors.New("another save is writing it")

// part is the file of a save under way, which holds a lock on it (flock) from before its first byte until it has been renamed
// or removed: a part without a lock was left by a process that is gone.
type part struct {
	path string
	lock *os.File
}

// openPart makes a new part, in the place of one that was left.
func openPart(path string) (*part, error) {
	for range partTries {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			if err := removeLeft(path); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		p := &part{path: path, lock: f}
		held, err := p.hold()
		if held && err == nil {
			return p, nil
		}
		if err := errors.Join(err, f.Close()); err != nil && !errors.Is(err, errBusy) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w", path, errBusy)
}

// removeLeft removes a part that nobody holds. One that is gone meanwhile is fine.
func removeLeft(path string) (err error) {
	// Not blocking: should it be a pipe, opening it must not wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w, and is no regular file", path, fs.ErrExist)
	}
	p := &part{path: path, lock: f}
	held, err := p.hold()
	if err != nil || !held {
		return err
	}
	return os.Remove(path)
}

// hold locks the file without waiting, and says whether it is still the one at its path.
func (p *part) hold() (bool, error) {
	if err := unix.Flock(int(p.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errBusy
		}
		return false, fmt.Errorf("lock %s: %w", p.path, err)
	}
	return p.current()
}

func (p *part) current() (bool, error) {
	mine, err := p.lock.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(mine, there), nil
}

// writer returns a second descriptor of the file, so that it can be closed, and its last error seen, before the lock goes.
func (p *part) writer() (*os.File, error) {
	fd, err := unix.FcntlInt(p.lock.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s once more: %w", p.path, err)
	}
	return os.NewFile(uintptr(fd), p.path), nil
}

// release lets the lock go, after the file was removed if it has failed.
func (p *part) release(failed bool) error {
	var err error
	if failed {
		var still bool
		if still, err = p.current(); still && err == nil {
			err = os.Remove(p.path)
		}
	}
	return errors.Join(err, p.lock.Close())
}
