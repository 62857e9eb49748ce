package layer

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// ErrRefused says that the layer asks for something no layer may.
var ErrRefused = errors.New("refused")

// Limits bound what a layer may unpack to.
type Limits struct {
	// Bytes of file content, and number of entries.
	Bytes, Entries int64
	// Ratio is how many bytes of plain stream each byte of a compressed one may give, once there are more than ratioFree of them.
	Ratio int64
	// Depth is how many directories deep a name may be.
	Depth int
	// Remembered bounds the names of directories, which are held in memory until the end, in bytes.
	Remembered int64
}

// DefaultLimits fit the largest images in use (tens of GiB, a million files) with room.
var DefaultLimits = Limits{Bytes: 64 << 30, Entries: 4 << 20, Ratio: 2000, Depth: 512, Remembered: 128 << 20}

// ratioFree is how much plain stream any compressed one may give, in bytes: files of zeros are no attack.
const ratioFree = 1 << 30

// Result is what was unpacked.
type Result struct {
	// DiffID is the digest of the uncompressed stream, as "sha256:HEX".
	DiffID string `json:"diffID"`
	// Bytes of file content and number of entries.
	Bytes   int64 `json:"bytes"`
	Entries int64 `json:"entries"`
	// Disk is what that takes in blocks of diskBlock bytes, holes left out.
	Disk int64 `json:"disk"`
}

// diskBlock is what most file systems allocate at once, in bytes.
const diskBlock = 4096

// Below gives descriptors of the directories of the layers below, uppermost first. It may wait until they are there. It is called once at most, and
// only by a layer that leaves something out.
type Below func() ([]int, error)

// Unpack unpacks the plain tar stream r below "/". below is nil for the lowest layer.
func Unpack(r io.Reader, below Below, limits Limits) (Result, error) {
	sum := sha256.New()
	r = io.TeeReader(r, sum)
	u := &unpacker{below: below, limits: limits, buf: make([]byte, 256<<10)}
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Result{}, fmt.Errorf("layer: %w", err)
		}
		if err := u.entry(h, archive); err != nil {
			return Result{}, fmt.Errorf("layer: entry %.256q: %w", h.Name, err)
		}
	}
	// The digest is of the whole stream, with what may follow the archive's end.
	if _, err := io.CopyBuffer(onlyWriter{io.Discard}, r, u.buf); err != nil {
		return Result{}, fmt.Errorf("layer: %w", err)
	}
	if err := u.finish(); err != nil {
		return Result{}, fmt.Errorf("layer: %w", err)
	}
	return Result{DiffID: "sha256:" + hex.EncodeToString(sum.Sum(nil)), Bytes: u.bytes, Entries: u.entries, Disk: u.disk}, nil
}

// onlyWriter hides io.Discard's own way to read, which would not use our buffer.
type onlyWriter struct{ io.Writer }

// Names with a meaning, as the OCI image specification has them.
const (
	whiteoutPrefix = ".wh."
	opaqueMark     = ".wh..wh..opq"
	reservedPrefix = ".wh..wh." // aufs's own files, with no meaning to anybody else
)

// entry unpacks one entry of the stream.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if u.entries++; u.entries > u.limits.Entries {
		return fmt.Errorf("more than %d entries: %w", u.limits.Entries, ErrRefused)
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if strings.Count(name, "/") > u.limits.Depth {
		return fmt.Errorf("a name of more than %d directories: %w", u.limits.Depth, ErrRefused)
	}
	if name == "/" {
		if h.Typeflag != tar.TypeDir {
			return fmt.Errorf("the root is no directory: %w", ErrRefused)
		}
		return u.directory("/", h)
	}
	dir, err := u.parent(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	switch {
	case base == opaqueMark:
		return setOpaque(dir)
	case strings.HasPrefix(base, reservedPrefix):
		return nil
	case strings.HasPrefix(base, whiteoutPrefix):
		return u.whiteout(path.Join(dir, strings.TrimPrefix(base, whiteoutPrefix)))
	}
	return u.create(path.Join(dir, base), h, content)
}

// cleanName returns the absolute path an entry means.
func cleanName(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf(`a name with "..": %w`, ErrRefused)
		}
	}
	if len(name) >= 4096 || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("a name that is none: %w", ErrRefused)
	}
	clean := path.Clean("/" + name)
	if base := path.Base(clean); base == whiteoutPrefix || base == whiteoutPrefix+"." || base == whiteoutPrefix+".." {
		return "", fmt.Errorf("a deletion of nothing: %w", ErrRefused)
	}
	return clean, nil
}
