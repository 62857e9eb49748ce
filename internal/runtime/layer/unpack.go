package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// unpacker is the state of one Unpack.
type unpacker struct {
	below   Below
	parents []int // what below gave; set at its first use
	limits  Limits
	buf     []byte
	bytes   int64
	entries int64
	disk    int64
	dirs    []dirTime // times to set at the end, when nothing is put into the directories any more
	named   int64     // bytes of the names in dirs

	// asked is the last name that parent was asked for, and found what it answered. An entry that takes something away forgets it.
	asked, found string
}

type dirTime struct {
	path  string
	times [2]unix.Timespec
}

// create makes the file, link, device or directory that h describes at path, whose directory exists.
func (u *unpacker) create(name string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(name, h)
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(name, h, content)
	case tar.TypeXGlobalHeader:
		return nil
	}
	if err := u.remove(name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeLink:
		return u.hardLink(name, h)
	case tar.TypeSymlink:
		if err := os.Symlink(h.Linkname, name); err != nil {
			return err
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		if err := node(name, h); err != nil {
			return err
		}
	default:
		return fmt.Errorf("type %q: %w", h.Typeflag, ErrRefused)
	}
	if err := attributes(name, h); err != nil {
		return err
	}
	return setTimes(name, timesOf(h))
}

// remove makes place for an entry that replaces an earlier one.
func (u *unpacker) remove(name string) error {
	u.asked = ""
	return os.RemoveAll(name)
}

// directory makes a directory or changes the attributes of the one there. One that takes the place of a deletion hides what is below.
func (u *unpacker) directory(name string, h *tar.Header) error {
	var st unix.Stat_t
	err := unix.Lstat(name, &st)
	switch {
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
	case err == nil || errors.Is(err, fs.ErrNotExist):
		if err := u.remove(name); err != nil {
			return err
		}
		if err := os.Mkdir(name, 0o700); err != nil {
			return err
		}
		if isWhiteout(&st) {
			if err := setOpaque(name); err != nil {
				return err
			}
		}
	default:
		return err
	}
	if u.named += int64(len(name)) + 64; u.named > u.limits.Remembered {
		return fmt.Errorf("more than %d bytes of names of directories: %w", u.limits.Remembered, ErrRefused)
	}
	u.disk += diskBlock
	u.dirs = append(u.dirs, dirTime{path: name, times: timesOf(h)})
	return attributes(name, h)
}

// hardLink links to a file of this same layer. The kernel resolves the name inside the root, symlinks on the way included.
func (u *unpacker) hardLink(name string, h *tar.Header) error {
	target, err := cleanName(h.Linkname)
	if err != nil {
		return fmt.Errorf("hard link: %w", err)
	}
	if err := os.Link(target, name); err != nil {
		return fmt.Errorf("hard link to a file that is not in this layer: %w", err)
	}
	return nil
}

func node(name string, h *tar.Header) error {
	kind := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[h.Typeflag]
	if h.Typeflag != tar.TypeFifo && h.Devmajor == 0 && h.Devminor == 0 {
		return fmt.Errorf("device 0:0, which overlayfs takes for a deletion: %w", ErrRefused)
	}
	if h.Devmajor < 0 || h.Devmajor >= 1<<12 || h.Devminor < 0 || h.Devminor >= 1<<20 {
		return fmt.Errorf("device %d:%d does not exist: %w", h.Devmajor, h.Devminor, ErrRefused)
	}
	return unix.Mknod(name, kind|0o600, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))))
}

// whiteout marks name as deleted. What this layer itself has there stays: a deletion is about the layers below.
func (u *unpacker) whiteout(name string) error {
	var st unix.Stat_t
	err := unix.Lstat(name, &st)
	switch {
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return setOpaque(name)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case u.below == nil:
		return nil // there is nothing below
	}
	return unix.Mknod(name, unix.S_IFCHR, 0)
}

func isWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

func setOpaque(dir string) error {
	if err := unix.Lsetxattr(dir, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("make opaque: %w", err)
	}
	return nil
}

// attributes sets owner, mode and extended attributes, in this order: a new owner clears set-user-ID bits and capabilities.
func attributes(name string, h *tar.Header) error {
	if err := os.Lchown(name, h.Uid, h.Gid); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := unix.Chmod(name, uint32(h.Mode)&0o7777); err != nil {
			return fmt.Errorf("mode: %w", err)
		}
	}
	for record, value := range h.PAXRecords {
		attr, ok := strings.CutPrefix(record, "SCHILY.xattr.")
		if !ok {
			continue
		}
		if err := setAttribute(name, attr, value); err != nil {
			return err
		}
	}
	return nil
}

// setAttribute sets what belongs to the image. Left out are trusted.*, as containerd does, what overlayfs would understand, and labels that mean
// something on the machine that made the image only.
func setAttribute(name, attr, value string) error {
	for _, foreign := range []string{"trusted.", "user.overlay.", "security.selinux", "security.apparmor", "security.SMACK64", "security.ima", "security.evm"} {
		if strings.HasPrefix(attr, foreign) {
			return nil
		}
	}
	err := unix.Lsetxattr(name, attr, []byte(value), 0)
	if errors.Is(err, unix.ENOTSUP) || (errors.Is(err, unix.EPERM) && strings.HasPrefix(attr, "user.")) {
		return nil // the file system has none, or this kind of file may not
	}
	if err != nil {
		return fmt.Errorf("attribute %.256s: %w", attr, err)
	}
	return nil
}

func timesOf(h *tar.Header) [2]unix.Timespec {
	access := h.AccessTime
	if access.IsZero() {
		access = h.ModTime
	}
	return [2]unix.Timespec{timespec(access), timespec(h.ModTime)}
}

// timespec of a time before 1970 is 1970: file systems disagree about earlier ones.
func timespec(t time.Time) unix.Timespec {
	if t.Unix() < 0 {
		t = time.Unix(0, 0)
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

func setTimes(name string, times [2]unix.Timespec) error {
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, times[:], unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("times: %w", err)
	}
	return nil
}

// finish sets the directories' times, innermost last: setting them touches nothing above.
func (u *unpacker) finish() error {
	for _, d := range u.dirs {
		if err := setTimes(d.path, d.times); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // a later entry may have taken a directory's place
		}
	}
	return nil
}

// maxLinks is how many symlinks of the layers below parent follows, as the kernel does.
const maxLinks = 40

// parent makes sure that directory dir exists, and returns where it really is. What this layer does not have yet is looked up below: a
// directory is made with the attributes it has there; a symlink is followed, since the layer was made by somebody who saw it.
func (u *unpacker) parent(dir string) (string, error) {
	if dir == u.asked {
		return u.found, nil
	}
	at, err := u.walk(dir)
	if err == nil {
		u.asked, u.found = dir, at
	}
	return at, err
}

func (u *unpacker) walk(dir string) (string, error) {
	at, rest := "/", strings.Trim(dir, "/")
	for links := 0; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if part == ".." {
			at = path.Dir(at)
			continue
		}
		if part == "" || part == "." {
			continue
		}
		target, err := u.step(path.Join(at, part))
		if err != nil {
			return "", err
		}
		if target == "" {
			at = path.Join(at, part)
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("too many symlinks on the way: %w", ErrRefused)
		}
		if strings.HasPrefix(target, "/") {
			at = "/"
		}
		rest = strings.Trim(target, "/") + "/" + rest
	}
	return at, nil
}

// step makes sure that name is a directory, and returns "", or the target of the symlink it is.
func (u *unpacker) step(name string) (target string, err error) {
	var st unix.Stat_t
	err = unix.Lstat(name, &st)
	switch {
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return "", nil
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return os.Readlink(name)
	case err == nil && !isWhiteout(&st):
		return "", fmt.Errorf("%s is no directory: %w", name, ErrRefused)
	case err == nil:
		return "", u.replaceWhiteout(name)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	below, target, err := u.lookBelow(name)
	if err != nil || target != "" {
		return target, err
	}
	if err := os.Mkdir(name, 0o755); err != nil {
		return "", err
	}
	if below == nil {
		return "", nil
	}
	if err := os.Lchown(name, int(below.Uid), int(below.Gid)); err != nil {
		return "", err
	}
	return "", unix.Chmod(name, below.Mode&0o7777)
}

// replaceWhiteout makes a directory where this layer deleted what is below: both together are an opaque directory.
func (u *unpacker) replaceWhiteout(name string) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	if err := os.Mkdir(name, 0o755); err != nil {
		return err
	}
	return setOpaque(name)
}

// lookBelow finds what the layers below have at name: the attributes of a directory, or the target of a symlink, or neither.
func (u *unpacker) lookBelow(name string) (dir *unix.Stat_t, target string, err error) {
	if u.below != nil && u.parents == nil {
		if u.parents, err = u.below(); err != nil {
			return nil, "", fmt.Errorf("the layers below: %w", err)
		}
	}
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	for _, parent := range u.parents {
		fd, err := unix.Openat2(parent, strings.TrimPrefix(name, "/"), how)
		if err != nil {
			continue // not here; a symlink on the way was followed before
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			buf := make([]byte, unix.PathMax)
			var n int
			n, err = unix.Readlinkat(fd, "", buf)
			target = string(buf[:max(n, 0)])
		}
		unix.Close(fd)
		switch {
		case err != nil:
			return nil, "", err
		case target != "" || st.Mode&unix.S_IFMT != unix.S_IFDIR:
			return nil, target, nil
		}
		return &st, "", nil
	}
	return nil, "", nil
}
