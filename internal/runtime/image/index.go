package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// indexVersion is the format of index.json that this package writes and reads.
const indexVersion = 1

// Image is one image as the index has it. It is immutable: callers must not change what it holds.
type Image struct {
	// ID is the configuration's digest, "sha256:HEX".
	ID string `json:"id"`
	// Manifests are the manifest digests by which it is known; at least one.
	Manifests []string `json:"manifests"`
	// Names are complete names with tags; none when all have moved to other images. RepoDigests are complete names with manifest digests.
	Names       []string `json:"names,omitempty"`
	RepoDigests []string `json:"repoDigests,omitempty"`
	// Layers are ordered from the lowest to the uppermost.
	Layers []Layer `json:"layers"`
	// Size is that of configuration and layers as they came, in bytes.
	Size int64 `json:"size"`
	// User is who runs the image's command, as its configuration says: "", NAME or UID, maybe with ":GROUP".
	User string `json:"user,omitempty"`
	// Pinned asks others not to remove it to make room; Remove does not heed it.
	Pinned bool `json:"pinned,omitempty"`
	// LoadedAt is in nanoseconds since 1970.
	LoadedAt int64 `json:"loadedAt"`
}

// Layer is one layer of an image.
type Layer struct {
	// Digest is that of the blob, DiffID that of its plain tar stream, Chain that of it and all below.
	Digest string `json:"digest"`
	DiffID string `json:"diffID"`
	Chain  string `json:"chain"`
	// Size is the blob's, Bytes and Entries are what it unpacked to.
	Size    int64 `json:"size"`
	Bytes   int64 `json:"bytes"`
	Entries int64 `json:"entries"`
}

type index struct {
	Version int      `json:"version"`
	Images  []*Image `json:"images"`
}

// seen identifies the version of index.json that was read; a rename changes the inode.
type seen struct {
	inode uint64
	mtime int64
	size  int64
}

// images returns the current index, read anew when the file changed since. The slice and what it holds must not be changed.
func (s *Store) images() ([]*Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock() // held over the read of a small file: there is no other way to agree on what was read
	path := filepath.Join(s.root, "index.json")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); errors.Is(err, fs.ErrNotExist) {
		s.cached, s.version = nil, seen{}
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("image index: %w", err)
	}
	version := seen{inode: st.Ino, mtime: st.Mtim.Nano(), size: st.Size}
	if version == s.version {
		return s.cached, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("image index: %w", err)
	}
	var idx index
	if err := json.Unmarshal(data, &idx); err != nil {
		return nil, fmt.Errorf("image index %s: %w", path, err)
	}
	if idx.Version != indexVersion {
		return nil, fmt.Errorf("image index %s has format %d, this floe reads %d", path, idx.Version, indexVersion)
	}
	s.cached, s.version = idx.Images, version
	return s.cached, nil
}

// change replaces the index by what edit makes of it. edit gets a slice of its own, but must replace images instead of changing them.
func (s *Store) change(edit func([]*Image) ([]*Image, error)) error {
	unlock, err := s.lock("index.lock", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := s.images()
	if err != nil {
		return err
	}
	images, err := edit(slices.Clone(now))
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(index{Version: indexVersion, Images: images}, "", " ")
	if err != nil {
		return err
	}
	// The content that the new index speaks of is synced; that it has its names may not be.
	for _, dir := range []string{"blobs/sha256", "layers"} {
		if err := syncDir(filepath.Join(s.root, dir)); err != nil {
			return err
		}
	}
	s.crash("content in place")
	temporary := filepath.Join(s.root, ".index.json.new") // one is enough under the lock; a crash leaves it to the next change
	if err := writeFileSynced(temporary, data); err != nil {
		return err
	}
	s.crash("index written")
	if err := os.Rename(temporary, filepath.Join(s.root, "index.json")); err != nil {
		return err
	}
	s.crash("index in place")
	return syncDir(s.root)
}

// lock takes a flock on the named file in the given mode and returns how to give it up.
func (s *Store) lock(name string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.root, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("image store: lock %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}

// writeFileSynced writes a file, over one that may be there, and waits for the disk.
func writeFileSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
