package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// ErrRefused says that the layer asks for something no layer may.
var ErrRefused = errors.New("refused")

// Limits bound what a layer may unpack to.
type Limits struct {
	// Bytes of file content, and number of entries.
	Bytes, Entries int64
}

// DefaultLimits fit the largest images in use (tens of GiB, a million files) with room.
var DefaultLimits = Limits{Bytes: 64 << 30, Entries: 4 << 20}

// Result is what was unpacked.
type Result struct {
	// DiffID is the digest of the uncompressed stream, as "sha256:HEX".
	DiffID string `json:"diffID"`
	// Bytes of file content and number of entries.
	Bytes   int64 `json:"bytes"`
	Entries int64 `json:"entries"`
}

// maxWindow bounds the memory that decompressing a zstd stream may take, in bytes. Encoders use 8 MiB unless told otherwise.
const maxWindow = 64 << 20

// Decompress returns the plain stream of a layer that is plain, gzip or zstd, as its first bytes tell.
func Decompress(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	}
	return r, nil
}

// Unpack unpacks the plain tar stream r below "/". parents are descriptors of the directories of the layers below, uppermost first.
func Unpack(r io.Reader, parents []int, limits Limits) (Result, error) {
	sum := sha256.New()
	r = io.TeeReader(r, sum)
	u := &unpacker{parents: parents, limits: limits, buf: make([]byte, 256<<10)}
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
			return Result{}, fmt.Errorf("layer: entry %q: %w", h.Name, err)
		}
	}
	// The digest is of the whole stream, with what may follow the archive's end.
	if _, err := io.CopyBuffer(onlyWriter{io.Discard}, r, u.buf); err != nil {
		return Result{}, fmt.Errorf("layer: %w", err)
	}
	if err := u.finish(); err != nil {
		return Result{}, fmt.Errorf("layer: %w", err)
	}
	return Result{DiffID: "sha256:" + hex.EncodeToString(sum.Sum(nil)), Bytes: u.bytes, Entries: u.entries}, nil
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
