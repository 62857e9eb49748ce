package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrArchive says that what was to be loaded is no image archive, or a broken one.
var ErrArchive = errors.New("not a usable image archive")

// Limits bound what an archive or a registry may make the store hold.
type Limits struct {
	// Bytes of all files in the archive, or of all that a manifest refers to, and number of an archive's entries.
	Bytes   int64
	Entries int
	// Document is the size of the largest manifest, index or configuration, in bytes.
	Document int64
	// Images and Layers (of one image) that an archive may hold.
	Images, Layers int
}

// DefaultLimits fit what is in use, with room.
var DefaultLimits = Limits{Bytes: 64 << 30, Entries: 16384, Document: 8 << 20, Images: 256, Layers: 256}

// maxArchivedName bounds the names in an archive, in bytes; real ones have some eighty.
const maxArchivedName = 1024

// staged is an archive on its way in: its files, by the names it gives them, in a directory of their own.
type staged struct {
	dir    string
	limits Limits
	files  map[string]stagedFile
	links  map[string]string // name → name of the file meant
}

type stagedFile struct {
	path   string // where it is now
	digest string
	size   int64
}

// stage reads the whole archive r into files below dir.
func stage(ctx context.Context, r io.Reader, dir string, limits Limits) (*staged, error) {
	st := &staged{dir: dir, limits: limits, files: map[string]stagedFile{}, links: map[string]string{}}
	archive := tar.NewReader(r)
	left := limits.Bytes
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return st, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrArchive, err)
		}
		if n == limits.Entries {
			return nil, fmt.Errorf("%w: more than %d entries", ErrArchive, limits.Entries)
		}
		if len(h.Name) > maxArchivedName || len(h.Linkname) > maxArchivedName {
			return nil, fmt.Errorf("%w: a name of more than %d bytes", ErrArchive, maxArchivedName)
		}
		if h.Size > left {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrArchive, limits.Bytes)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			left -= h.Size
			if err := st.file(ctx, name, archive); err != nil {
				return nil, err
			}
		case tar.TypeSymlink: // docker save once linked equal layers to each other
			st.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			st.links[name] = path.Clean(h.Linkname)
		}
	}
}

// file copies one file out of the archive. Its name there never becomes a name here.
func (st *staged) file(ctx context.Context, name string, content io.Reader) error {
	target := filepath.Join(st.dir, "file-"+strconv.Itoa(len(st.files)))
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), ending{ctx, content})
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrArchive, name, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	st.files[name] = stagedFile{path: target, digest: "sha256:" + hex.EncodeToString(sum.Sum(nil)), size: size}
	return nil
}

// ending is a reader that ends with its context.
type ending struct {
	ctx context.Context
	r   io.Reader
}

func (e ending) Read(b []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(b)
}

// find returns the file of a name, through one link at most.
func (st *staged) find(name string) (stagedFile, bool) {
	name = path.Clean(name)
	if to, ok := st.links[name]; ok {
		name = to
	}
	f, ok := st.files[name]
	return f, ok
}

// blob returns the file that a descriptor means, in an OCI layout, having checked digest and size.
func (st *staged) blob(digest string, size int64) (stagedFile, error) {
	f, ok := st.find("blobs/" + strings.Replace(digest, ":", "/", 1))
	switch {
	case !ok:
		return f, fmt.Errorf("%w: blob %s is missing", ErrArchive, digest)
	case f.digest != digest:
		return f, fmt.Errorf("%w: blob %s has digest %s", ErrArchive, digest, f.digest)
	case size != f.size:
		return f, fmt.Errorf("%w: blob %s has %d bytes instead of %d", ErrArchive, digest, f.size, size)
	}
	return f, nil
}

// document reads a small file whole.
func (st *staged) document(f stagedFile) ([]byte, error) {
	if f.size > st.limits.Document {
		return nil, fmt.Errorf("%w: a document of %d bytes, at most %d are allowed", ErrArchive, f.size, st.limits.Document)
	}
	return os.ReadFile(f.path)
}
