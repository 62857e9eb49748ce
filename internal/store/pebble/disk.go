package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

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

// disk watches the free space under the log. Only the commit loop uses it.
type disk struct {
	fs       vfs.FS
	dir      string
	space    Space
	log      *slog.Logger
	reserved bool
	refused  error // why writes are refused; nil: they are not
}

// check says why writes are to be refused; nil: they are not. It asks the file system, which takes a microsecond, once for a group.
func (d *disk) check() error {
	if d.space.Free < 0 {
		return nil
	}
	usage, err := d.fs.GetDiskUsage(d.dir)
	if err != nil {
		// A file system that cannot tell has no limit that could be kept.
		return nil
	}
	free := int64(min(usage.AvailBytes, 1<<62))
	reserve := max(d.space.Reserve, 0)
	switch {
	case free < d.space.Free:
		d.refuse(free)
	case d.refused == nil && d.reserved:
	case free >= d.space.Free+reserve:
		// Again, or for the first time; the reserve is not held against the writers.
		d.accept(reserve)
	}
	return d.refused
}

func (d *disk) refuse(free int64) {
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

func (d *disk) accept(reserve int64) {
	if d.refused != nil {
		d.log.Info("the disk has room again: writes are taken", "dir", d.dir)
	}
	d.refused = nil
	if reserve == 0 || d.reserved {
		return
	}
	if err := d.makeReserve(reserve); err != nil {
		d.log.Warn("no reserve for a full disk", "file", reserveFile, "error", err)
	}
	d.reserved = true // or not to be had
}

func (d *disk) makeReserve(size int64) error {
	name := d.fs.PathJoin(d.dir, reserveFile)
	if info, err := d.fs.Stat(name); err == nil && info.Size() == size {
		return nil
	}
	f, err := d.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(f.Preallocate(0, size), f.Close())
}
