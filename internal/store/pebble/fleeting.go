package pebble

import "github.com/cockroachdb/pebble/v2/vfs"

// Memory is a file system of its own, empty, for a log that ends with the process. It is safe for concurrent use.
func Memory() vfs.FS { return vfs.NewMem() }

// Unsynced is the machine's files without their syncs: what is written survives the process, but not the machine. It is for logs that nobody misses, and for
// those only: law 1 does not hold on it. It is safe for concurrent use.
func Unsynced() vfs.FS { return unsynced{vfs.Default} }

type unsynced struct{ vfs.FS }

// unsyncedFile takes syncs for done.
type unsyncedFile struct{ vfs.File }

// Sync implements vfs.File.
func (unsyncedFile) Sync() error { return nil }

// SyncTo implements vfs.File.
func (unsyncedFile) SyncTo(int64) (fullSync bool, err error) { return true, nil }

// SyncData implements vfs.File.
func (unsyncedFile) SyncData() error { return nil }

func without(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

// Create implements vfs.FS.
func (u unsynced) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return without(u.FS.Create(name, category))
}

// OpenReadWrite implements vfs.FS.
func (u unsynced) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return without(u.FS.OpenReadWrite(name, category, opts...))
}

// OpenDir implements vfs.FS.
func (u unsynced) OpenDir(name string) (vfs.File, error) { return without(u.FS.OpenDir(name)) }

// ReuseForWrite implements vfs.FS.
func (u unsynced) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return without(u.FS.ReuseForWrite(old, name, category))
}

// Unwrap implements vfs.FS.
func (u unsynced) Unwrap() vfs.FS { return u.FS }
