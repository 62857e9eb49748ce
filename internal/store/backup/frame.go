package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
)

const (
	frameHead  = 5 // kind and length
	frameSum   = 4
	frameExtra = frameHead + frameSum
	ioBuffer   = 256 << 10 // what one read or write of the file is
	growStep   = 64 << 10  // what a length is believed at first
)

// frameWriter writes frames, and knows the digest and the length of all before the next.
type frameWriter struct {
	w      *bufio.Writer
	crc    *crc32.Table
	digest hash.Hash
	offset int64
	buf    []byte // the frame being made
}

// newFrameWriter begins a snapshot.
func newFrameWriter(w io.Writer) (*frameWriter, error) {
	f := &frameWriter{w: bufio.NewWriterSize(w, ioBuffer), crc: crc32.MakeTable(crc32.Castagnoli), digest: sha256.New()}
	f.buf = append(f.buf, magic...)
	return f, f.flushFrame()
}

// begin returns where the payload of the next frame is to be appended.
func (f *frameWriter) begin(kind byte) []byte {
	return append(f.buf[:0], kind, 0, 0, 0, 0)
}

// end writes the frame that begin began and a payload was appended to.
func (f *frameWriter) end(frame []byte) error {
	payload := len(frame) - frameHead
	if limit := payloadLimit(frame[0]); payload > limit {
		return fmt.Errorf("a frame of kind %q with %d bytes is above the limit of %d: %w", frame[0], payload, limit, ErrUnfit)
	}
	binary.BigEndian.PutUint32(frame[1:], uint32(payload))
	f.buf = binary.BigEndian.AppendUint32(frame, crc32.Checksum(frame, f.crc))
	return f.flushFrame()
}

func (f *frameWriter) flushFrame() error {
	f.digest.Write(f.buf)
	f.offset += int64(len(f.buf))
	if _, err := f.w.Write(f.buf); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

func (f *frameWriter) flush() error {
	if err := f.w.Flush(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// frameReader reads frames and checks them one by one.
type frameReader struct {
	r      *bufio.Reader
	crc    *crc32.Table
	digest hash.Hash // of all but the trailer
	offset int64     // of the next byte
	buf    []byte    // the frame being read; its memory is used again
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, ioBuffer), crc: crc32.MakeTable(crc32.Castagnoli), digest: sha256.New()}
}

// damage describes what is wrong at an offset.
func damage(offset int64, format string, args ...any) error {
	return fmt.Errorf("byte %d: %w: %w", offset, fmt.Errorf(format, args...), ErrDamaged)
}

// start reads the first line.
func (f *frameReader) start() error {
	line := make([]byte, 0, len(magic))
	for len(line) < 2*len(magic) && !slices.Contains(line, '\n') {
		b, err := f.r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return damage(int64(len(line)), "file ends in its first line, which should be %q", magic)
			}
			return fmt.Errorf("byte %d: read snapshot: %w", len(line), err)
		}
		line = append(line, b)
		if i := len(line) - 1; i < len(magicStem) && b != magicStem[i] {
			return damage(int64(i), "file is not a snapshot of floe: its first line is not %q", magic)
		}
	}
	if string(line) != magic {
		return fmt.Errorf("byte %d: format %q, where this version reads %d: %w",
			len(magicStem), line[len(magicStem):], format, ErrFormat)
	}
	f.offset = int64(len(magic))
	f.digest.Write(line)
	return nil
}

// next reads one frame and returns its kind, its payload, which holds until the next call, and its offset.
func (f *frameReader) next() (kind byte, payload []byte, at int64, err error) {
	at = f.offset
	f.buf = f.buf[:0]
	if err := f.more(frameHead, at); err != nil {
		return 0, nil, at, err
	}
	kind = f.buf[0]
	limit := payloadLimit(kind)
	if limit < 0 {
		return 0, nil, at, damage(at, "frame of unknown kind %q", kind)
	}
	length := binary.BigEndian.Uint32(f.buf[1:])
	if uint64(length) > uint64(limit) {
		return 0, nil, at, damage(at+1, "length %d of a frame of kind %q is above the limit of %d", length, kind, limit)
	}
	if err := f.more(int(length)+frameSum, at); err != nil {
		return 0, nil, at, err
	}
	body := len(f.buf) - frameSum
	if stated := binary.BigEndian.Uint32(f.buf[body:]); stated != crc32.Checksum(f.buf[:body], f.crc) {
		return 0, nil, at, damage(at, "checksum of the frame of kind %q and %d bytes that begins here does not hold", kind, length)
	}
	if kind != kindTrailer {
		f.digest.Write(f.buf)
	}
	return kind, f.buf[frameHead:body], at, nil
}

// more appends n bytes to the frame that began at an offset. Memory follows what arrives, not what was promised.
func (f *frameReader) more(n int, at int64) error {
	for n > 0 {
		have := len(f.buf)
		step := min(n, max(have, growStep))
		f.buf = slices.Grow(f.buf, step)[:have+step]
		got, err := io.ReadFull(f.r, f.buf[have:])
		f.offset += int64(got)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return damage(f.offset, "file is cut off in the frame that begins at byte %d", at)
		}
		if err != nil {
			return fmt.Errorf("byte %d: read snapshot: %w", f.offset, err)
		}
		n -= step
	}
	return nil
}

// finish makes sure that nothing follows.
func (f *frameReader) finish() error {
	_, err := f.r.ReadByte()
	if err == nil {
		return damage(f.offset, "something follows the end of the snapshot")
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("byte %d: read snapshot: %w", f.offset, err)
	}
	return nil
}
