package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// file makes a regular file. Few system calls: an image has tens of thousands.
func (u *unpacker) file(name string, h *tar.Header, content io.Reader) error {
	if h.Size > u.limits.Bytes-u.bytes {
		return fmt.Errorf("more than %d bytes in all: %w", u.limits.Bytes, ErrRefused)
	}
	u.bytes += h.Size
	const how = unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open(name, how, 0o600)
	if errors.Is(err, unix.EEXIST) {
		if err := u.remove(name); err != nil {
			return err
		}
		fd, err = unix.Open(name, how, 0o600)
	}
	if err != nil {
		return err
	}
	w := &holeWriter{fd: fd}
	_, err = io.CopyBuffer(w, onlyReader{content}, u.buf)
	if err := errors.Join(err, w.finish(), unix.Close(fd)); err != nil {
		return err
	}
	u.disk += (w.written + diskBlock - 1) / diskBlock * diskBlock
	if err := attributes(name, h); err != nil {
		return err
	}
	return setTimes(name, timesOf(h))
}

// onlyReader hides other ways to copy, which would not use our buffer.
type onlyReader struct{ io.Reader }

// holeWriter writes a file and leaves holes where whole blocks are zero, so that sparse files stay sparse.
type holeWriter struct {
	fd      int
	size    int64
	written int64 // of size, without holes
	hole    bool  // the end is a hole, which the file's size does not know of yet
}

// holeSize is what is worth a hole, in bytes: many file systems' blocks.
const holeSize = 64 << 10

var zeros [holeSize]byte

// Write writes b, in blocks.
func (w *holeWriter) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		n := min(len(b), holeSize)
		run := b[:n]
		if w.hole = n == holeSize && bytes.Equal(run, zeros[:]); !w.hole {
			for n < len(b) && !(len(b)-n >= holeSize && bytes.Equal(b[n:n+holeSize], zeros[:])) {
				n = min(n+holeSize, len(b))
			}
			if err := pwriteAll(w.fd, b[:n], w.size); err != nil {
				return written, err
			}
			w.written += int64(n)
		}
		w.size += int64(n)
		written += n
		b = b[n:]
	}
	return written, nil
}

// finish gives the file its size when it ends in a hole.
func (w *holeWriter) finish() error {
	if !w.hole {
		return nil
	}
	return unix.Ftruncate(w.fd, w.size)
}

func pwriteAll(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}
