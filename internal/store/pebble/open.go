package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
)

// Options say where a log lies.
type Options struct {
	Dir   string             // required; made when it does not exist
	FS    vfs.FS             // nil: the machine's
	Clock clock.PassiveClock // for the records' time; nil: the real one
	Log   *slog.Logger       // pebble's own messages go there as debug; nil: discarded
}

// Errors of opening. They come wrapped with the directory and what to do.
var (
	// ErrForeign: the directory holds something that is not a log of floe.
	ErrForeign = errors.New("directory is not empty and holds no log of floe")
	// ErrVersion: the directory was written by another version of floe.
	ErrVersion = errors.New("log version is not known to this version of floe")
	// ErrInUse: another process has the directory open.
	ErrInUse = errors.New("log is in use by another process")
)

const (
	versionFile    = "VERSION"
	versionNewFile = "VERSION.new"
	versionText    = "floe log 1\n"

	// Small on purpose: the table answers reads; the cache serves condition checks of cold keys and compaction.
	memTableBytes = 4 << 20
	cacheBytes    = 4 << 20
	openFiles     = 128
)

// Open opens the log in opts.Dir, or makes one there, and starts its two goroutines; Close ends them.
func Open(opts Options) (*Log, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkVersion(opts.FS, opts.Dir); err != nil {
		return nil, fmt.Errorf("open log %s: %w", opts.Dir, err)
	}
	// Pebble's lock is taken first and by us, so that "in use" can be told from every other failure.
	lock, err := pebble.LockDirectory(opts.Dir, opts.FS)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w (stop it first): %w", opts.Dir, ErrInUse, err)
	}
	l := newLog(opts.Clock)
	sink := &sink{log: opts.Log, fatal: l.fail}
	l.db, err = pebble.Open(opts.Dir, engineOptions(opts.FS, sink, lock))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", opts.Dir, err), lock.Close())
	}
	l.lock = lock
	if err := l.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", opts.Dir, err), l.db.Close(), lock.Close())
	}
	l.start()
	return l, nil
}

func engineOptions(fs vfs.FS, sink *sink, lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                    fs,
		Lock:                  lock,
		Logger:                sink,
		FormatMajorVersion:    pebble.FormatTableFormatV6,
		MemTableSize:          memTableBytes,
		CacheSize:             cacheBytes,
		MaxOpenFiles:          openFiles,
		L0CompactionThreshold: 4,
		L0StopWritesThreshold: 24,
		LBaseMaxBytes:         16 << 20,
	}
	// Creating an object asks for a key that is absent: a filter answers without reading a block.
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// checkVersion refuses a directory that is not ours, and marks an empty one as ours. A crash in it leaves the
// directory empty but for the new file, and the next Open repeats it.
func checkVersion(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	text, err := readFile(fsys, fsys.PathJoin(dir, versionFile))
	switch {
	case err == nil && text == versionText:
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s says %q, want %q; use the floe that wrote it", ErrVersion, versionFile, text, versionText)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, name := range names {
		if name != versionNewFile {
			return fmt.Errorf("%w: found %s; name another directory", ErrForeign, name)
		}
	}
	return writeVersion(fsys, dir)
}

func writeVersion(fsys vfs.FS, dir string) error {
	temp := fsys.PathJoin(dir, versionNewFile)
	f, err := fsys.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(versionText))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, fsys.PathJoin(dir, versionFile)); err != nil {
		return err
	}
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readFile(fsys vfs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	// Longer than any version that will ever be: a foreign file is not read whole.
	b, err := io.ReadAll(io.LimitReader(f, 256))
	return string(b), errors.Join(err, f.Close())
}

// sink takes pebble's messages. Pebble calls Fatalf where it cannot go on, and expects the process to end; the log
// ends instead, and whoever runs it ends the process with a line of its own.
type sink struct {
	log   *slog.Logger
	fatal func(error)
}

func (s *sink) Infof(format string, args ...any) { s.log.Debug(fmt.Sprintf(format, args...)) }

func (s *sink) Errorf(format string, args ...any) { s.log.Debug(fmt.Sprintf(format, args...)) }

func (s *sink) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	s.log.Error("the log has ended", "error", err)
	s.fatal(err)
}

var _ pebble.Logger = (*sink)(nil)

func newLog(c clock.PassiveClock) *Log {
	l := &Log{clock: c, kick: make(chan struct{}, 1), moved: make(chan struct{}, 1), stop: make(chan struct{})}
	l.syncs = make(chan *group, 1)
	l.mu.head = make(map[string]store.Record)
	return l
}

func (l *Log) start() {
	var loops sync.WaitGroup
	loops.Go(l.commitLoop)
	loops.Go(l.syncLoop)
	l.wait = loops.Wait
}
