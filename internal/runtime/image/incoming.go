package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/image/registry"
)

// fetcher brings a blob's bytes into a sink, as (*registry.Repository).Fetch does.
type fetcher func(ctx context.Context, digest string, size int64, sink registry.Sink) error

// incoming is a blob on its way in. Who reads it along gets bytes whose digest is not known yet.
//
//	bytes arrive in partial/HEX ─ all there, digest right, synced → blobs/sha256/HEX
//	             └─ digest wrong → truncated, round+1, from the start
type incoming struct {
	mu      sync.Mutex // guards what follows
	file    *os.File   // the partial one; nil before it is open and after it is blobs/…
	written int64
	round   int           // how often it began anew
	ended   bool          // it is in its place, or will never be
	changed chan struct{} // closed and replaced whenever any of this changes; nil when nobody waits
}

func (in *incoming) change(f func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f()
	if in.changed != nil {
		close(in.changed)
		in.changed = nil
	}
}

// receive is the work of a flight: it brings the blob into its place, or finds that it is there.
func (s *Store) receive(ctx context.Context, in *incoming, digest string, size int64, fetch fetcher, meter *Progress) error {
	defer in.change(func() { in.ended = true })
	if s.hasBlob(digest, size) {
		meter.received(size)
		return nil
	}
	file, err := s.openPartial(ctx, digest)
	if err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	defer file.Close()
	sink, err := newBlobSink(in, file, digest, size, meter)
	if err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	defer in.change(func() { in.file = nil })
	if s.hasBlob(digest, size) { // another process brought it while we waited for its lock
		return nil
	}
	s.crash("partial blob open")
	if err := fetch(ctx, digest, size, sink); err != nil {
		return err
	}
	s.crash("blob received")
	if err := file.Sync(); err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	s.crash("blob synced")
	return os.Rename(file.Name(), s.blobPath(digest))
}

func (s *Store) hasBlob(digest string, size int64) bool {
	info, err := os.Stat(s.blobPath(digest))
	return err == nil && info.Size() == size
}

// partialPause is how long to wait before asking again whether another process has finished a blob.
const partialPause = 200 * time.Millisecond

// openPartial opens what there is of a blob, alone: no other process writes it until the file is closed.
func (s *Store) openPartial(ctx context.Context, digest string) (*os.File, error) {
	path := s.partialPath(digest)
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && sameFile(file, path) {
			return file, nil
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
		if err == nil || errors.Is(err, unix.EINTR) {
			continue // it was moved or removed before we had it
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, err
		}
		select {
		case <-s.clock.After(partialPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

func (s *Store) partialPath(digest string) string {
	return filepath.Join(s.root, "partial", strings.TrimPrefix(digest, "sha256:"))
}

// blobSink is the registry.Sink that writes a partial file.
type blobSink struct {
	in     *incoming
	file   *os.File
	digest string
	sum    hash.Hash
	offset int64
	meter  *Progress
}

var _ registry.Sink = (*blobSink)(nil)

// newBlobSink goes on with what file has.
func newBlobSink(in *incoming, file *os.File, digest string, size int64, meter *Progress) (*blobSink, error) {
	b := &blobSink{in: in, file: file, digest: digest, sum: sha256.New(), meter: meter}
	n, err := io.Copy(b.sum, io.LimitReader(file, size+1))
	if err != nil {
		return nil, err
	}
	if b.offset = n; n > size {
		if err := b.Reset(); err != nil {
			return nil, err
		}
	}
	meter.received(b.offset)
	in.change(func() { in.file, in.written = file, b.offset })
	return b, nil
}

// Offset is how many bytes there are.
func (b *blobSink) Offset() int64 { return b.offset }

// Write appends.
func (b *blobSink) Write(data []byte) (int, error) {
	n, err := b.file.WriteAt(data, b.offset)
	b.sum.Write(data[:n])
	b.offset += int64(n)
	b.meter.received(int64(n))
	b.in.change(func() { b.in.written = b.offset })
	return n, err
}

// Verify checks the digest.
func (b *blobSink) Verify() error {
	if got := "sha256:" + hex.EncodeToString(b.sum.Sum(nil)); got != b.digest {
		return fmt.Errorf("the digest is %s instead of %s: %w", got, b.digest, registry.ErrContent)
	}
	return nil
}

// Reset begins anew.
func (b *blobSink) Reset() error {
	b.meter.received(-b.offset)
	b.sum.Reset()
	b.offset = 0
	b.in.change(func() { b.in.written, b.in.round = 0, b.in.round+1 })
	return b.file.Truncate(0)
}

// errAnew ends a reader whose blob began anew.
var errAnew = errors.New("the blob is received anew")

// follower reads a blob while it arrives.
type follower struct {
	ctx   context.Context
	in    *incoming
	file  *os.File
	round int
	at    int64
}

// follow opens the blob for reading from its start: the file itself when it is complete, else a reader that waits for what comes. round is what to
// give to (*incoming).sound.
func (s *Store) follow(ctx context.Context, in *incoming, digest string) (r io.ReadCloser, round int, err error) {
	for {
		in.mu.Lock()
		file, ended, round, changed := in.file, in.ended, in.round, in.waitLocked()
		if file != nil {
			fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
			in.mu.Unlock()
			if err != nil {
				return nil, 0, err
			}
			return &follower{ctx: ctx, in: in, file: os.NewFile(uintptr(fd), file.Name()), round: round}, round, nil
		}
		in.mu.Unlock()
		if ended {
			f, err := os.Open(s.blobPath(digest))
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("blob %s did not arrive", digest)
			}
			return f, round, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}

func (in *incoming) waitLocked() <-chan struct{} {
	if in.changed == nil {
		in.changed = make(chan struct{})
	}
	return in.changed
}

// sound says whether what was read since round were the blob's own bytes, when it has arrived.
func (in *incoming) sound(round int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.round == round
}

// Read reads what has arrived, and waits for more.
func (f *follower) Read(b []byte) (int, error) {
	for {
		f.in.mu.Lock()
		written, ended, round, changed := f.in.written, f.in.ended, f.in.round, f.in.waitLocked()
		f.in.mu.Unlock()
		switch {
		case round != f.round:
			return 0, errAnew
		case f.at < written:
			n, err := f.file.ReadAt(b[:min(int64(len(b)), written-f.at)], f.at)
			f.at += int64(n)
			if errors.Is(err, io.EOF) && n > 0 {
				err = nil
			}
			return n, err
		case ended:
			return 0, io.EOF // whether all came, who waits for the flight knows
		}
		select {
		case <-changed:
		case <-f.ctx.Done():
			return 0, context.Cause(f.ctx)
		}
	}
}

// WriteTo is Read with a buffer that suits pipes.
func (f *follower) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(w, struct{ io.Reader }{f}, make([]byte, 256<<10))
}

// Close closes the file; the blob goes on arriving.
func (f *follower) Close() error { return f.file.Close() }
