package layer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that decompressing a zstd stream may take, in bytes. Encoders use 8 MiB unless told otherwise.
const maxWindow = 64 << 20

// Stream is a layer's plain tar stream. Decompression runs ahead of its reader in a goroutine, which Close ends and waits for.
type Stream struct {
	full    chan []byte // decompressed, in order
	free    chan []byte
	current []byte
	block   []byte
	err     error // why there is no more; set before full is closed
	quit    chan struct{}
	done    sync.WaitGroup
}

const (
	blocks    = 4
	blockSize = 512 << 10
)

// Open returns the plain stream of a layer that is plain, gzip (estargz too) or zstd, as its first bytes tell. Nothing else may read r any more.
func Open(r io.Reader, limits Limits) (*Stream, error) {
	raw := &counter{r: r}
	plain, err := decompress(bufio.NewReaderSize(raw, 256<<10))
	if err != nil {
		return nil, fmt.Errorf("layer: %w", err)
	}
	s := &Stream{full: make(chan []byte, blocks), free: make(chan []byte, blocks), quit: make(chan struct{})}
	for range blocks {
		s.free <- make([]byte, blockSize)
	}
	s.done.Go(func() { s.fill(plain, raw, limits) })
	return s, nil
}

func decompress(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), isSkippable(head):
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	}
	return r, nil
}

// isSkippable knows the frames without content that zstd:chunked streams may begin with.
func isSkippable(head []byte) bool {
	return len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18})
}

// fill decompresses until the end, an error, or Close.
func (s *Stream) fill(plain io.Reader, raw *counter, limits Limits) {
	defer close(s.full)
	var total int64
	for {
		var b []byte
		select {
		case b = <-s.free:
		case <-s.quit:
			s.err = io.ErrClosedPipe
			return
		}
		n, err := io.ReadFull(plain, b[:blockSize])
		total += int64(n)
		if total > ratioFree && total/limits.Ratio > raw.n {
			s.err = fmt.Errorf("it grows to more than %d times its size: %w", limits.Ratio, ErrRefused)
			return
		}
		s.full <- b[:n] // there is room for all blocks
		if errors.Is(err, io.ErrUnexpectedEOF) && n > 0 {
			continue // the next read says whether it was the end
		}
		if err != nil {
			s.err = err
			return
		}
	}
}

// Read gives what is decompressed.
func (s *Stream) Read(b []byte) (int, error) {
	for len(s.current) == 0 {
		if s.block != nil {
			s.free <- s.block
			s.block = nil
		}
		next, ok := <-s.full
		if !ok {
			return 0, s.err
		}
		s.current, s.block = next, next
	}
	n := copy(b, s.current)
	s.current = s.current[n:]
	return n, nil
}

// Close ends the decompression; it must not be called while Read runs. What it waits for is at most one read of the compressed stream.
func (s *Stream) Close() {
	close(s.quit)
	s.done.Wait()
}

// counter counts what was read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
