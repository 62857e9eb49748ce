package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// recover reads where the log stands. Assumed of what a crash left:
//
//   - a batch is there whole or not at all, and after one that is missing there is none;
//   - what was answered is there, since it was synced before;
//   - the pruner's last batches may be missing, and it takes the same away again;
//   - the note in REACHED may be older than the log, never newer.
func (l *Log) recover(base store.Revision) error {
	last, err := lastRevision(l.db)
	if err != nil {
		return err
	}
	if l.base, err = l.number("base"); err != nil {
		return err
	}
	if last == 0 && l.base == 0 && base > 0 {
		if err := l.db.Set(numberKey("base"), encodeNumber(base), pebble.Sync); err != nil {
			return err
		}
		l.base = base
	}
	floor, err := l.number("floor")
	if err != nil {
		return err
	}
	recent, err := l.number("recent")
	if err != nil {
		return err
	}
	l.assigned = max(last, l.base)
	l.mu.durable = l.assigned
	l.mu.floor = max(floor, l.base)
	l.mu.recent = max(recent, l.mu.floor)
	if err := l.checkRows(); err != nil {
		return err
	}
	return checkWitness(l.disk.fs, l.disk.dir, l.assigned)
}

// checkRows holds the rows above recent, which are complete, against each other, and counts them.
func (l *Log) checkRows() error {
	at := l.mu.recent
	gap := store.Revision(0)
	err := l.eachRow(at, func(r *row) bool {
		if r.revision != at+1 {
			gap = r.revision
			return false
		}
		at = r.revision
		l.mu.kept.enter(r)
		return true
	})
	if err == nil && gap != 0 {
		err = fmt.Errorf("revisions %d to %d are missing: %w", at+1, gap-1, errCorrupt)
	}
	return err
}

// number reads what stands under a name; 0: nothing.
func (l *Log) number(name string) (store.Revision, error) {
	b, closer, err := l.db.Get(numberKey(name))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, errors.Join(fmt.Errorf("%s: %w", name, errCorrupt), closer.Close())
	}
	return store.Revision(binary.BigEndian.Uint64(b)), closer.Close()
}

func encodeNumber(n store.Revision) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// leave makes the log's files whole: afterwards nothing rests in pebble's own log alone.
func (l *Log) leave() error {
	if err := l.ended(); !errors.Is(err, store.ErrClosed) || l.failed() {
		return nil
	}
	return errors.Join(l.db.Flush(), l.witness())
}

// explain adds what to do to an error of the engine.
func explain(err error) error {
	var system syscall.Errno
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w (make the file system writable, or name another directory)", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w (free some space on this file system)", err)
	case errors.As(err, &system) && !errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrForeign), errors.Is(err, ErrVersion):
		return err
	}
	return fmt.Errorf("%w (put back the file that was damaged, or restore the newest snapshot: floe snapshot restore)", err)
}

// reading says what failed of the log, and explains it when the log's files are to blame.
func (l *Log) reading(what string, err error) error {
	if errors.Is(err, errCorrupt) || pebble.IsCorruptionError(err) {
		err = explain(err)
	}
	return fmt.Errorf("log %s: %s: %w", l.disk.dir, what, err)
}
