package image

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/layer"
)

// blockSize is what stat counts blocks in, in bytes.
const blockSize = 512

// Usage is what all content takes on disk, in bytes and inodes: blobs, those that arrived in part too, and unpacked layers, also those that only a
// container still needs. What is being unpacked is not counted yet.
func (s *Store) Usage() (bytes, inodes int64, err error) {
	for _, dir := range []string{"blobs/sha256", "partial"} {
		b, n, err := usageOfFiles(filepath.Join(s.root, dir))
		if err != nil {
			return 0, 0, err
		}
		bytes, inodes = bytes+b, inodes+n
	}
	chains, err := dirNames(filepath.Join(s.root, "layers"))
	if err != nil {
		return 0, 0, err
	}
	for _, c := range chains {
		r, err := s.layerUsage(c)
		if err != nil {
			return 0, 0, err
		}
		bytes, inodes = bytes+max(r.Disk, r.Bytes), inodes+r.Entries
	}
	return bytes, inodes, nil
}

func usageOfFiles(dir string) (bytes, inodes int64, err error) {
	names, err := dirNames(dir)
	if err != nil {
		return 0, 0, err
	}
	for _, n := range names {
		var st unix.Stat_t
		err := unix.Lstat(filepath.Join(dir, n), &st)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has arrived, or was removed
		}
		if err != nil {
			return 0, 0, err
		}
		bytes, inodes = bytes+st.Blocks*blockSize, inodes+1
	}
	return bytes, inodes, nil
}

func (s *Store) layerUsage(chain string) (layer.Result, error) {
	if r, ok := s.sizes.Load(chain); ok {
		return r.(layer.Result), nil
	}
	r, ok, err := readLayer(s.layerPath(chain))
	if ok && err == nil {
		s.sizes.Store(chain, r)
	}
	return r, err
}
