package wire

import (
	"bufio"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// streamed is how many bytes of an answer go to its connection at once: two frames of HTTP/2.
const streamed = 32 << 10

// pools keep what answers of unknown size are written through: a buffer, and 800 KiB for each that is compressed, which were garbage after each list. The zero
// value is ready; it is safe for concurrent use.
type pools struct{ buffers, zips sync.Pool }

// through gives write a buffer in front of out, which is compressed if need be, and flushes it.
func (p *pools) through(out io.Writer, compress bool, write func(io.Writer) error) error {
	if compress {
		zip, _ := p.zips.Get().(*gzip.Writer)
		if zip == nil {
			zip, _ = gzip.NewWriterLevel(nil, gzipLevel) // the level is a valid one
		}
		zip.Reset(out)
		defer func() {
			zip.Reset(nil)
			p.zips.Put(zip)
		}()
		if err := p.buffered(zip, write); err != nil {
			return err
		}
		return zip.Close()
	}
	return p.buffered(out, write)
}

func (p *pools) buffered(out io.Writer, write func(io.Writer) error) error {
	buffer, _ := p.buffers.Get().(*bufio.Writer)
	if buffer == nil {
		buffer = bufio.NewWriterSize(nil, streamed)
	}
	buffer.Reset(out)
	defer func() {
		buffer.Reset(nil)
		p.buffers.Put(buffer)
	}()
	if err := write(buffer); err != nil {
		return err
	}
	return buffer.Flush()
}
