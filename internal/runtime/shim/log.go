package shim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxLine is the longest piece of a line that one entry holds, in bytes; longer lines become several entries, all but the last marked P.
const maxLine = 16 << 10

// logTime is RFC 3339 with all nine digits, so that entries line up and sort as text.
const logTime = "2006-01-02T15:04:05.000000000Z07:00"

// Log appends a container's output to its log file in CRI's format, one entry per line:
//
//	2026-11-21T02:44:03.123456789Z stdout F the line
//
// Each entry goes to the file in one write, so entries of the two streams never mix. A failing file (disk full, directory removed) loses
// output but never stops the container: the output is read and dropped, and Err says why.
type Log struct {
	path string
	now  func() time.Time

	mu   sync.Mutex // guards what follows; held over writes to the file, which is the point
	file *os.File   // nil: the file could not be opened anew
	out  []byte     // scratch for Copy: entries of one read
	err  error      // the last failure
}

// OpenLog opens the file at path for appending, making it (0640) and its directory (0755) when absent. now stamps the entries.
func OpenLog(path string, now func() time.Time) (*Log, error) {
	l := &Log{path: path, now: now}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("container log: %w", err)
	}
	if err := l.Reopen(); err != nil {
		return nil, err
	}
	return l, nil
}

// Reopen closes the file and opens whatever has its name now; a log rotator renames the old one first.
func (l *Log) Reopen() error {
	// A link in its place may be a container's, to a file that is none of its business; a pipe must not hold anybody up.
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return fmt.Errorf("container log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = f
	return nil
}

// Close closes the file. Copies still under way drop what they read.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// Err returns the last failure to write, nil when all was written.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Copy reads r to its end and logs it as stream ("stdout" or "stderr"). What follows the last line break is an entry too. It returns
// the error that ended reading, nil at the end of r.
func (l *Log) Copy(stream string, r io.Reader) error {
	buf := make([]byte, maxLine+1) // one more, so that a line of maxLine and its break are one entry
	have := 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		rest := l.append(stream, buf[:have], err != nil)
		have = copy(buf, rest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// append logs the complete lines of data, everything when last, and returns what is left.
func (l *Log) append(stream string, data []byte, last bool) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = l.out[:0]
	stamp := l.now().UTC()
	for len(data) > 0 {
		i := bytes.IndexByte(data, '\n')
		switch {
		case i >= 0:
			l.entry(stamp, stream, "F", data[:i])
			data = data[i+1:]
		case len(data) > maxLine:
			l.entry(stamp, stream, "P", data[:maxLine])
			data = data[maxLine:]
		case last:
			l.entry(stamp, stream, "F", data)
			data = nil
		default:
			l.flush()
			return data
		}
	}
	l.flush()
	return nil
}

func (l *Log) entry(stamp time.Time, stream, tag string, line []byte) {
	if len(l.out)+len(line) > 2*maxLine { // many short lines grow a lot by their heads
		l.flush()
	}
	l.out = stamp.AppendFormat(l.out, logTime)
	l.out = append(l.out, ' ')
	l.out = append(l.out, stream...)
	l.out = append(l.out, ' ')
	l.out = append(l.out, tag...)
	l.out = append(l.out, ' ')
	l.out = append(l.out, line...)
	l.out = append(l.out, '\n')
}

func (l *Log) flush() {
	if len(l.out) == 0 {
		return
	}
	if l.file == nil {
		l.err = os.ErrClosed
	} else if _, err := l.file.Write(l.out); err != nil {
		l.err = err
	}
	l.out = l.out[:0]
}
