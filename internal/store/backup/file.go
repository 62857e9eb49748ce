package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FileOptions say how SaveFile writes.
type FileOptions struct {
	Options
	// Overwrite lets a file of that name be replaced, in one step, by the whole new snapshot.
	Overwrite bool
}

// SaveFile writes a snapshot of src's newest state to the file path, mode 0600, which appears there only when it is whole
// and synced. Until then it is path with ".part" added; what a save that was killed left there is taken away, and a save
// that is still under way is not disturbed. An existing path is refused with fs.ErrExist, unless it is a regular file and
// opts.Overwrite is set.
//
// When an error comes back, path is as it was, no part is left, and the error says what to do. The one exception is
// a folder that could not be synced; its error says that the file is there.
func SaveFile(ctx context.Context, src Loader, path string, opts FileOptions) (Summary, error) {
	return saveFile(ctx, src, path, opts, func(f *os.File) sink { return f })
}

// FetchFile is SaveFile for a snapshot that another process made: fetch writes it. What arrives is verified while it is written, and
// kept only when it is whole.
func FetchFile(path string, overwrite bool, fetch func(io.Writer) error) (Summary, error) {
	return keepFile(path, overwrite, func(f *os.File) sink { return f }, func(w io.Writer) (Summary, error) { return fetchVerified(w, fetch) })
}

// fetchVerified lets fetch write to w and to a verifier beside it.
func fetchVerified(w io.Writer, fetch func(io.Writer) error) (Summary, error) {
	type verdict struct {
		Summary
		error
	}
	read, write := io.Pipe()
	verified := make(chan verdict, 1)
	go func() {
		s, err := Verify(read)
		read.CloseWithError(err) // a fetch need not go on with what is damaged
		verified <- verdict{s, err}
	}()
	err := fetch(io.MultiWriter(write, w))
	write.CloseWithError(err)
	v := <-verified
	if err != nil {
		return Summary{}, err
	}
	return v.Summary, v.error
}

// sink is the part as it is written. Tests put one there that fails.
type sink interface {
	io.Writer
	Sync() error
	Close() error
}

func saveFile(ctx context.Context, src Loader, path string, opts FileOptions, wrap func(*os.File) sink) (Summary, error) {
	return keepFile(path, opts.Overwrite, wrap, func(w io.Writer) (Summary, error) { return Save(ctx, src, w, opts.Options) })
}

func keepFile(path string, overwrite bool, wrap func(*os.File) sink, write func(io.Writer) (Summary, error)) (Summary, error) {
	s, err := writeFile(path, overwrite, wrap, write)
	if err != nil {
		return Summary{}, fmt.Errorf("snapshot %s: %w; %s", path, err, remedy(path, err))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return Summary{}, fmt.Errorf("snapshot %s is written and whole, but may be gone after a power failure: %w; save again", path, err)
	}
	return s, nil
}

func writeFile(path string, overwrite bool, wrap func(*os.File) sink, write func(io.Writer) (Summary, error)) (s Summary, err error) {
	if err := checkTarget(path, overwrite); err != nil {
		return Summary{}, err
	}
	p, err := openPart(path + partSuffix)
	if err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, p.release(err != nil)) }()
	file, err := p.writer()
	if err != nil {
		return Summary{}, err
	}
	if s, err = fill(wrap(file), write); err != nil {
		return Summary{}, err
	}
	return s, publish(p.path, path, overwrite)
}

// fill writes, syncs and closes the part.
func fill(w sink, write func(io.Writer) (Summary, error)) (Summary, error) {
	s, err := write(w)
	if err == nil {
		if err = w.Sync(); err != nil {
			err = fmt.Errorf("sync: %w", err)
		}
	}
	if closing := w.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("close: %w", closing))
	}
	return s, err
}

// checkTarget refuses early what publish would refuse after all the work.
func checkTarget(path string, overwrite bool) error {
	if path == "" {
		return errors.New("no file is named")
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w, and is no regular file", fs.ErrExist)
	case !overwrite:
		return fs.ErrExist
	}
	return nil
}

// publish gives the part its name.
func publish(part, path string, overwrite bool) error {
	if overwrite {
		return os.Rename(part, path)
	}
	err := unix.Renameat2(unix.AT_FDCWD, part, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		// The file system cannot refuse by itself, so a file that appears in this very moment is lost.
		if err := checkTarget(path, overwrite); err != nil {
			return err
		}
		return os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("rename %s: %w", part, err)
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", path, err)
	}
	return nil
}

// remedy says what to do about an error.
func remedy(path string, err error) string {
	folder := filepath.Dir(path)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return fmt.Sprintf("nothing is left of it: make room in %s, or choose another place", folder)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return fmt.Sprintf("nothing was written: choose a folder that can be written to, %s cannot", folder)
	case errors.Is(err, fs.ErrExist):
		return "nothing was written: name another file, or have this one replaced"
	case errors.Is(err, errBusy):
		return "nothing was written: wait for that save, or name another file"
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("nothing was written: make the folder %s first", folder)
	}
	return "nothing is left of it: save again when the cause is gone"
}
