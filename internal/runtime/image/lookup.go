package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLookup bounds the file that ReadFile reads, in bytes.
const maxLookup = 1 << 20

// ReadFile reads a small file of an image (/etc/passwd, /etc/group) as a container would see it, without mounting anything. It follows no
// symlinks: a layer could lead them anywhere on this machine. The error is fs.ErrNotExist when there is no such regular file.
func (s *Store) ReadFile(i *Image, name string) ([]byte, error) {
	for _, dir := range s.layerDirs(i) {
		data, verdict, err := lookIn(dir, strings.Trim(name, "/"))
		switch {
		case err != nil:
			return nil, fmt.Errorf("image %s: %s: %w", i.ID, name, err)
		case verdict == here:
			return data, nil
		case verdict == hidden:
			return nil, fmt.Errorf("image %s: %s: %w", i.ID, name, fs.ErrNotExist)
		}
	}
	return nil, fmt.Errorf("image %s: %s: %w", i.ID, name, fs.ErrNotExist)
}

// verdict is what one layer says about a file.
type verdict int

const (
	below  verdict = iota // nothing: look at the layers below
	here                  // this is it
	hidden                // there is none, whatever the layers below have
)

func lookIn(dir, name string) ([]byte, verdict, error) {
	root, err := os.Open(dir)
	if err != nil {
		return nil, hidden, err
	}
	defer root.Close()
	how := &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	fd, err := unix.Openat2(int(root.Fd()), name, how)
	if errors.Is(err, unix.ENOENT) {
		return nil, opaqueAbove(int(root.Fd()), path.Dir(name)), nil
	}
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENXIO) {
		return nil, hidden, nil // a symlink, a file in a directory's place, or a deletion
	}
	if err != nil {
		return nil, hidden, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, hidden, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxLookup+1))
	if err == nil && len(data) > maxLookup {
		err = fmt.Errorf("more than %d bytes", maxLookup)
	}
	return data, here, err
}

// opaqueAbove says hidden when a directory of this layer on the way to a file hides what the layers below have in it.
func opaqueAbove(root int, dir string) verdict {
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	for ; dir != "." && dir != "/"; dir = path.Dir(dir) {
		fd, err := unix.Openat2(root, dir, how)
		if err != nil {
			continue
		}
		value := make([]byte, 1)
		n, err := unix.Fgetxattr(fd, "trusted.overlay.opaque", value)
		unix.Close(fd)
		if err == nil && n == 1 && value[0] == 'y' {
			return hidden
		}
	}
	return below
}
