package store

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// Values from packFrom bytes on are held packed, where that leaves at most packedPart of them: the definitions of custom resources, long config maps and
// the like, which are seldom read and often most of what a table holds. Expanding takes a tenth of what decoding then takes; see docs/adr/010.
//
// Most objects are smaller: they pay one comparison.
const (
	packFrom   = 16 << 10
	packedPart = 3. / 4
)

// packerKept bounds the room that a packer keeps from one value to the next.
const packerKept = 512 << 10

// packer packs one value after the other. The zero value is ready.
type packer struct {
	room []byte
}

// pack makes an item hold its value packed, if it is worth it. Nobody else may see the item yet.
func (p *packer) pack(i *Item) {
	if len(i.value) < packFrom || i.whole > 0 {
		return
	}
	if most := s2.MaxEncodedLen(len(i.value)); cap(p.room) < most {
		p.room = make([]byte, most)
	}
	packed := s2.Encode(p.room[:cap(p.room)], i.value)
	if cap(p.room) > packerKept {
		p.room = nil
	}
	if float64(len(packed)) > packedPart*float64(len(i.value)) {
		return
	}
	i.whole, i.value = len(i.value), bytes.Clone(packed)
}

// Scratch is room in which values that are held packed are expanded, one after the other, so that who reads many of them needs the room of one. The zero
// value is ready, and nil is one whose values last. One goroutine at a time may use it.
type Scratch struct {
	room []byte
}

// Value is item.Value, to be read until the next one is asked for.
func (s *Scratch) Value(item *Item) []byte {
	if item.whole == 0 {
		return item.value
	}
	if s == nil {
		return expand(make([]byte, item.whole), item)
	}
	if cap(s.room) < item.whole {
		s.room = make([]byte, item.whole)
	}
	return expand(s.room[:item.whole], item)
}

// expand fills out with an item's packed value. That it fits was seen when it was packed, in this process.
func expand(out []byte, item *Item) []byte {
	value, err := s2.Decode(out, item.value)
	if err != nil || len(value) != item.whole {
		panic(fmt.Sprintf("%s at revision %d: %d bytes, packed from %d, expand to %d: %v", item.Key, item.Revision, len(item.value), item.whole, len(value), err))
	}
	return value
}
