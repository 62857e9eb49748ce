package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// entry is one line of a container's log in CRI's format:
//
//	2026-01-02T15:04:05.999999999Z stdout F text
//
// F ends a line of the container, P is a part of one. text has its line break unless the entry is partial.
type entry struct {
	time    time.Time
	stamp   []byte
	partial bool
	text    []byte
}

var errNoEntry = errors.New("not a line of a container log")

// parseEntry reads one line with its line break. It keeps parts of line.
func parseEntry(line []byte) (entry, error) {
	stamp, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return entry{}, errNoEntry
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return entry{}, fmt.Errorf("%w: %w", errNoEntry, err)
	}
	stream, rest, ok := bytes.Cut(rest, []byte{' '})
	if !ok || string(stream) != "stdout" && string(stream) != "stderr" {
		return entry{}, errNoEntry
	}
	tags, text, ok := bytes.Cut(rest, []byte{' '})
	if !ok || len(tags) == 0 {
		return entry{}, errNoEntry
	}
	e := entry{time: at, stamp: stamp, text: text}
	if tag, _, _ := bytes.Cut(tags, []byte{':'}); string(tag) == "P" {
		e.partial, e.text = true, bytes.TrimSuffix(text, []byte{'\n'})
	}
	return e, nil
}

// logOptions are what kubectl logs asks.
type logOptions struct {
	follow, timestamps bool
	since              time.Time // zero: from the beginning
	tail               int64     // lines; -1: all
	limit              int64     // bytes; -1: all
}

const (
	maxLogLine  = 1 << 20 // of the file; runtimes part longer ones
	inotifyRead = 4096
	lookAgain   = time.Second
)

// logReader copies a log to a client.
type logReader struct {
	opts    logOptions
	out     io.Writer
	flush   func()
	left    int64 // bytes that may still be written; -1: any number
	started bool  // in the middle of a container's line
}

var errLimit = errors.New("the limit of bytes is reached")

// readLog copies the file as opts say. With follow it goes on until ctx ends or running says that nothing more will come.
func readLog(ctx context.Context, file string, opts logOptions, out io.Writer, flush func(), running func() bool) error {
	r := &logReader{opts: opts, out: out, flush: flush, left: opts.limit}
	for {
		rotated, err := r.copyFile(ctx, file, running)
		switch {
		case errors.Is(err, errLimit):
			return nil
		case err != nil || !rotated:
			return err
		}
		r.opts.tail = -1 // of the file that follows, all
	}
}

// copyFile copies one file; rotated says that another one of its name has taken its place, and all of it was read.
func (r *logReader) copyFile(ctx context.Context, file string, running func() bool) (rotated bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if r.opts.tail >= 0 {
		if err := seekTail(f, r.opts.tail); err != nil {
			return false, err
		}
	}
	var changes *watcher
	if r.opts.follow {
		if changes, err = watchFile(file); err != nil {
			return false, err
		}
		defer changes.close()
	}
	return r.copyAll(ctx, f, changes, running)
}

// replaced says that the name leads to another file now.
func replaced(f *os.File) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(f.Name())
	return err == nil && !os.SameFile(mine, now)
}

func (r *logReader) copyAll(ctx context.Context, f *os.File, changes *watcher, running func() bool) (rotated bool, err error) {
	in := bufio.NewReaderSize(f, 64<<10)
	var half []byte // a line whose end is not written yet
	for {
		// Before the read: what was written until the end, or until the rotation, is then read.
		more := changes != nil && running()
		next := changes != nil && replaced(f)
		for {
			part, err := in.ReadSlice('\n')
			half = append(half, part...)
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				if !errors.Is(err, io.EOF) {
					return false, err
				}
				break
			}
			if len(half) > maxLogLine {
				return false, fmt.Errorf("a line of more than %d bytes: %w", maxLogLine, errNoEntry)
			}
			if err == nil {
				if err := r.write(half); err != nil {
					return false, err
				}
				half = half[:0]
			}
		}
		r.flush()
		if next || !more {
			return next, nil
		}
		if err := changes.wait(ctx); err != nil {
			return false, nil // the client is gone, or the server stops
		}
	}
}

// write copies one line. What is no entry is left out: a crash may have cut it.
func (r *logReader) write(line []byte) error {
	e, err := parseEntry(line)
	if err != nil {
		return nil
	}
	if e.time.Before(r.opts.since) {
		return nil
	}
	if r.opts.timestamps && !r.started {
		if err := r.put(append(append([]byte{}, e.stamp...), ' ')); err != nil {
			return err
		}
	}
	r.started = e.partial
	return r.put(e.text)
}

func (r *logReader) put(b []byte) error {
	if r.left >= 0 && int64(len(b)) >= r.left {
		_, err := r.out.Write(b[:r.left])
		return errors.Join(errLimit, err)
	}
	if r.left >= 0 {
		r.left -= int64(len(b))
	}
	_, err := r.out.Write(b)
	return err
}

// seekTail puts the file's position where its last n lines begin. A last line without an end counts.
func seekTail(f *os.File, n int64) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 || n == 0 {
		return err
	}
	const block = 32 << 10
	buf := make([]byte, block)
	for end := size; end > 0; {
		begin := max(0, end-block)
		part := buf[:end-begin]
		if _, err := f.ReadAt(part, begin); err != nil {
			return err
		}
		for i := len(part) - 1; i >= 0; i-- {
			after := begin + int64(i) + 1
			if part[i] != '\n' || after == size { // the end of the last line begins none
				continue
			}
			if n--; n == 0 {
				_, err := f.Seek(after, io.SeekStart)
				return err
			}
		}
		end = begin
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// watcher wakes when a file is written, by inotify(7).
type watcher struct{ f *os.File }

func watchFile(path string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_CLOSE_WRITE|unix.IN_MOVE_SELF|unix.IN_DELETE_SELF|unix.IN_ATTRIB); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("inotify %s: %w", path, err)
	}
	return &watcher{os.NewFile(uintptr(fd), "inotify")}, nil
}

func (w *watcher) close() { w.f.Close() }

// wait returns when the file changed, at the latest after lookAgain, and with an error when ctx has ended. The writer's end is no change of the
// file, and its last one may come before the runtime knows of the end.
func (w *watcher) wait(ctx context.Context) error {
	if err := w.f.SetReadDeadline(time.Now().Add(lookAgain)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var buf [inotifyRead]byte
	_, err := w.f.Read(buf[:])
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}
