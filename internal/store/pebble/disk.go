package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/floe-k8s/floe/internal/store"
)

// Space is what the log keeps free on its disk. Writes are refused before the disk is full, so that what was accepted can
// always be brought to its place.
type Space struct {
	// Free bytes below which nothing but deletions is taken; 0: 128 MiB. Negative: no limit.
	Free int64
	// Reserve is the size of a file that is given back when writes are refused, for deletions and for pebble's own work; 0: 32 MiB. Negative: none.
	Reserve int64
}

func (s Space) orDefaults() Space {
	if s.Free == 0 {
		s.Free = 128 << 20
	}
	if s.Reserve == 0 {
		s.Reserve = 32 << 20
	}
	return s
}

const reserveFile = "RESERVE"

// disk watches the free space under the log.
type disk struct {
	fs    vfs.FS
	dir   string
	space Space
	log   *slog.Logger

	mu       sync.Mutex
	reserved bool  // or not to be had
	refused  error // why writes are refused; nil: they are not
}

// check says why writes are to be refused; nil: they are not. It asks the file system, which takes a microsecond, once for a group.
func (d *disk) check() error {
	free, ok := d.free()
	if !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case free < d.space.Free:
		d.refuseLocked(free)
	case d.refused != nil && free >= d.space.Free+max(d.space.Reserve, 0):
		d.log.Info("the disk has room again: writes are taken", "dir", d.dir)
		d.refused = nil
	}
	return d.refused
}

// free returns the bytes that are free; ok is false when there is no limit, or the file system cannot tell, so that none could be kept.
func (d *disk) free() (n int64, ok bool) {
	if d.space.Free < 0 {
		return 0, false
	}
	usage, err := d.fs.GetDiskUsage(d.dir)
	return int64(min(usage.AvailBytes, 1<<62)), err == nil
}

func (d *disk) refuseLocked(free int64) {
	first := d.refused == nil
	d.refused = fmt.Errorf("%w: %d MiB are free on the disk of %s, and %d MiB are kept free: delete objects or free space there; writes go on by themselves then",
		store.ErrFull, free>>20, d.dir, d.space.Free>>20)
	if !first {
		return
	}
	d.log.Error("the disk is nearly full: writes other than deletions are refused", "dir", d.dir, "freeBytes", free, "keptFreeBytes", d.space.Free)
	if err := d.fs.Remove(d.fs.PathJoin(d.dir, reserveFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Error("cannot give back the reserve", "file", reserveFile, "error", err)
	}
	d.reserved = false
}

// reserve makes the reserve when there is room for it and it is not there. The pruner calls it, now and then: a start need not wait for it.
func (d *disk) reserve() {
	free, ok := d.free()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !ok || d.reserved || d.refused != nil || d.space.Reserve <= 0 || free < d.space.Free+d.space.Reserve {
		return
	}
	if err := d.makeReserve(d.space.Reserve); err != nil {
		d.log.Warn("no reserve for a full disk", "file", reserveFile, "error", err)
	}
	d.reserved = true
}

func (d *disk) makeReserve(size int64) error {
	f, err := d.fs.Create(d.fs.PathJoin(d.dir, reserveFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(f.Preallocate(0, size), f.Close())
}
