// Package carry lets one file hold several programs: those that a running server does not link stand, compressed, behind
// the linked program, and are unpacked on first use.
//
//	+----------------+---------+---------+-----+-------+--------------+----------+
//	| linked program | frame 0 | frame 1 | ... | index | index length | mark     |
//	|                | (zstd)  | (zstd)  |     | (JSON)| 8 bytes, LE  | 8 bytes  |
//	+----------------+---------+---------+-----+-------+--------------+----------+
//
// The index names each program with the offset and length of its frame, and the length and SHA-256 of its content.
// A program is unpacked to DIR/HASH/NAME, 0700, by way of a temporary name, so that it is there whole or not at all; one that
// is there is never replaced, since a process may be running from it.
//
// A floe that nothing was appended to (go build) finds the programs beside its own file instead.
package carry

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

const (
	mark         = "FLOECRY1"
	trailerBytes = 8 + len(mark)
	maxIndex     = 64 << 10
	maxProgram   = 512 << 20 // bytes, unpacked
)

// ErrAbsent says that this floe carries no program of the name, and that none stands beside it.
var ErrAbsent = errors.New("program is not carried in this floe")

type entry struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Packed int64  `json:"packed"` // bytes of the frame
	Size   int64  `json:"size"`   // bytes of the program
	SHA256 string `json:"sha256"` // of the program, hexadecimal
}

// Programs is what one file carries.
type Programs struct {
	file string
	list []entry
}

// Open reads the index at the end of file. A file without a mark carries nothing, which is no error.
func Open(file string) (*Programs, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	list, err := readIndex(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &Programs{file: file, list: list}, nil
}

func readIndex(r io.ReaderAt, size int64) ([]entry, error) {
	if size < int64(trailerBytes) {
		return nil, nil
	}
	var trailer [8 + len(mark)]byte
	if _, err := r.ReadAt(trailer[:], size-int64(trailerBytes)); err != nil {
		return nil, fmt.Errorf("reading the end of the file: %w", err)
	}
	if string(trailer[8:]) != mark {
		return nil, nil
	}
	length := int64(binary.LittleEndian.Uint64(trailer[:8]))
	start := size - int64(trailerBytes) - length
	if length < 0 || length > maxIndex || start < 0 {
		return nil, fmt.Errorf("damaged: the index of carried programs cannot be %d bytes", length)
	}
	data := make([]byte, length)
	if _, err := r.ReadAt(data, start); err != nil {
		return nil, fmt.Errorf("reading the index of carried programs: %w", err)
	}
	var list []entry
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("damaged: the index of carried programs: %w", err)
	}
	for _, e := range list {
		if e.Offset < 0 || e.Packed < 0 || e.Offset > start-e.Packed || e.Size < 0 || e.Size > maxProgram || e.Name != filepath.Base(e.Name) || !validHash(e.SHA256) {
			return nil, fmt.Errorf("damaged: the entry of carried program %q", e.Name)
		}
	}
	return list, nil
}

func validHash(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

// Path returns the absolute path of the named program: unpacked below dir when it is carried, else beside the file itself.
func (p *Programs) Path(name, dir string) (string, error) {
	for _, e := range p.list {
		if e.Name == name {
			return p.unpack(e, dir)
		}
	}
	beside := filepath.Join(filepath.Dir(p.file), name)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	return "", fmt.Errorf("%s: %w, and none stands beside %s; `make build` builds a floe that carries it", name, ErrAbsent, p.file)
}

func (p *Programs) unpack(e entry, dir string) (string, error) {
	target := filepath.Join(dir, e.SHA256, e.Name)
	if info, err := os.Stat(target); err == nil && info.Size() == e.Size {
		return target, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return "", fmt.Errorf("unpacking %s: %w", e.Name, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(target), ".tmp-*")
	if err != nil {
		return "", fmt.Errorf("unpacking %s: %w", e.Name, err)
	}
	defer os.Remove(tmp.Name())
	if err := errors.Join(p.copy(tmp, e), tmp.Chmod(0o700), tmp.Close()); err != nil {
		return "", fmt.Errorf("unpacking %s: %w", e.Name, err)
	}
	return target, os.Rename(tmp.Name(), target)
}

func (p *Programs) copy(w io.Writer, e entry) error {
	f, err := os.Open(p.file)
	if err != nil {
		return err
	}
	defer f.Close()
	dec, err := zstd.NewReader(io.NewSectionReader(f, e.Offset, e.Packed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer dec.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(dec, e.Size+1))
	if err != nil {
		return err
	}
	if n != e.Size || hex.EncodeToString(sum.Sum(nil)) != e.SHA256 {
		return fmt.Errorf("damaged: %d bytes do not have the recorded hash", n)
	}
	return nil
}

// Append adds programs to out, a writer that stands at the end of a linked program of linked bytes. They are given by path and named
// by its last element.
func Append(out io.Writer, linked int64, paths []string) error {
	var list []entry
	offset := linked
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		packed, err := compress(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		sum := sha256.Sum256(data)
		list = append(list, entry{
			Name: filepath.Base(path), Offset: offset, Packed: int64(len(packed)),
			Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]),
		})
		if _, err := out.Write(packed); err != nil {
			return err
		}
		offset += int64(len(packed))
	}
	index, err := json.Marshal(list)
	if err != nil {
		return err
	}
	tail := binary.LittleEndian.AppendUint64(index, uint64(len(index)))
	_, err = out.Write(append(tail, mark...))
	return err
}

func compress(data []byte) ([]byte, error) {
	var buf bytes.Buffer
	enc, err := zstd.NewWriter(&buf, zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, err
	}
	if _, err := enc.Write(data); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil { // writes the frame's end
		return nil, err
	}
	return buf.Bytes(), nil
}
