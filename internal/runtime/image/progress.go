package image

import "sync/atomic"

// Progress is how far a Pull is; it may be read while it goes on. A Pull that shares another one's work counts what it does itself only. A nil
// Progress counts nothing.
type Progress struct {
	total, done      atomic.Int64
	layers, unpacked atomic.Int32
}

// Bytes are those that have arrived, and all there are to arrive, 0 as long as that is not known.
func (p *Progress) Bytes() (done, total int64) { return p.done.Load(), p.total.Load() }

// Layers are those that are unpacked, and all there are.
func (p *Progress) Layers() (unpacked, all int) { return int(p.unpacked.Load()), int(p.layers.Load()) }

func (p *Progress) received(n int64) {
	if p != nil {
		p.done.Add(n)
	}
}

func (p *Progress) expect(bytes int64, layers int) {
	if p != nil {
		p.total.Add(bytes)
		p.layers.Add(int32(layers))
	}
}

func (p *Progress) layer() {
	if p != nil {
		p.unpacked.Add(1)
	}
}
