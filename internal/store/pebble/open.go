package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
)

// Options say where a log lies and what it keeps.
type Options struct {
	Dir     string           // required; made when it does not exist
	FS      vfs.FS           // nil: the machine's
	Clock   clock.WithTicker // for the records' time and the pruner; nil: the real one
	Log     *slog.Logger     // pebble's own messages go there as debug; nil: discarded
	Codec   store.Codec      // encrypts values on disk; nil: they are stored as they are
	History History          // what is kept of the past
	Base    store.Revision   // the revisions of a new log begin above it; a log that exists keeps its own
	Space   Space            // what is kept free on the disk
}

// History bounds what is kept of versions that were replaced. The first bound that is reached holds.
type History struct {
	Age   time.Duration // 0: an hour
	Bytes int64         // of values; 0: 256 MiB
}

func (h History) orDefaults() History {
	if h.Age == 0 {
		h.Age = time.Hour
	}
	if h.Bytes == 0 {
		h.Bytes = 256 << 20
	}
	return h
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
	// Small on purpose: the table answers reads; the cache serves condition checks of cold keys and compaction.
	memTableBytes = 8 << 20 // two are held; without cgo they are a part of Go's heap, and count for its collector. With 4 MiB a write cost a tenth more.
	// Pebble takes the memory tables off its cache, so these are added: without them the cache held nothing, and each key that was to be made read a filter from its file.
	cacheBytes = 2*memTableBytes + 4<<20
	openFiles  = 128
	// Four times pebble's default, in which three objects of 1 KiB find room: opening a table took a third longer, and finding a cold key, through
	// an index of four times the size, no less. With 32 KiB opening gained little and cold keys lost.
	blockBytes = 16 << 10
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
		return nil, fmt.Errorf("open log %s: %w", opts.Dir, explain(err))
	}
	// Pebble's lock is taken first and by us, so that "in use" can be told from every other failure.
	lock, err := pebble.LockDirectory(opts.Dir, opts.FS)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", opts.Dir, inUse(err))
	}
	l := newLog(opts)
	sink := &sink{log: opts.Log, fatal: l.fail}
	l.db, err = pebble.Open(opts.Dir, engineOptions(opts.FS, sink, lock))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", opts.Dir, explain(err)), lock.Close())
	}
	l.lock = lock
	if err := l.recover(opts.Base); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", opts.Dir, explain(err)), l.db.Close(), lock.Close())
	}
	l.start()
	return l, nil
}

// inUse tells a lock that is held from one that cannot be made.
func inUse(err error) error {
	if errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) {
		return explain(err)
	}
	return fmt.Errorf("%w (stop it first): %w", ErrInUse, err)
}

func engineOptions(fs vfs.FS, sink *sink, lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		Comparer:              comparer(),
		FS:                    fs,
		Lock:                  lock,
		Logger:                sink,
		FormatMajorVersion:    pebble.FormatTableFormatV6,
		MemTableSize:          memTableBytes,
		CacheSize:             cacheBytes,
		MaxOpenFiles:          openFiles,
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: 24,
		LBaseMaxBytes:         16 << 20,
	}
	// Older versions lie beside the newest. Apart from it, all blocks of them in one table would be held in memory until it is finished.
	o.Experimental.SpanPolicyFunc = func([]byte) (pebble.SpanPolicy, []byte, error) {
		return pebble.SpanPolicy{DisableValueSeparationBySuffix: true}, nil, nil
	}
	// Creating an object asks for a key that is absent: a filter answers without reading a block.
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].BlockSize = blockBytes
	}
	return o
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
	// Below the first line pebble tells its own stack.
	text, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	err := errors.New(text)
	s.log.Error("the log has ended", "error", err)
	s.fatal(err)
}

var _ pebble.Logger = (*sink)(nil)

func newLog(opts Options) *Log {
	l := &Log{clock: opts.Clock, codec: opts.Codec, kick: make(chan struct{}, 1), moved: make(chan struct{}, 1), stop: make(chan struct{})}
	l.syncs = make(chan *group, 1)
	l.mu.head = make(map[string]store.Record)
	l.pruner = pruner{history: opts.History.orDefaults(), compactions: make(chan compaction)}
	l.disk = disk{fs: opts.FS, dir: opts.Dir, space: opts.Space.orDefaults(), log: opts.Log}
	return l
}

func (l *Log) start() {
	var loops sync.WaitGroup
	loops.Go(l.commitLoop)
	loops.Go(l.syncLoop)
	loops.Go(l.pruneLoop)
	l.wait = loops.Wait
}
