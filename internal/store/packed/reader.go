// Package packed reads the fields of stored bytes: varints, and texts behind their lengths. Pebble's versions and rows, etcd's transaction records and
// snapshots are made of them. Writing needs no more than encoding/binary's Append functions.
package packed

import "encoding/binary"

// Reader reads fields from the front of Rest. Bad is set at the first field that does not fit, and every later field is zero; so it is asked once, at
// the end.
type Reader struct {
	Rest []byte
	Bad  bool
}

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	if !r.skip(n) {
		return 0
	}
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.Rest)
	if !r.skip(n) {
		return 0
	}
	return v
}

// Size reads a number that may not be above most.
func (r *Reader) Size(most int) int {
	n := r.Uvarint()
	if n > uint64(most) {
		r.skip(0)
		return 0
	}
	return int(n)
}

// Bytes reads a length and so many bytes, which stay a part of Rest's memory.
func (r *Reader) Bytes() []byte {
	n := r.Uvarint()
	if r.Bad || n > uint64(len(r.Rest)) {
		r.skip(0)
		return nil
	}
	b := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return b
}

// Text is Bytes as a string of its own.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.Rest) == 0 {
		r.skip(0)
		return 0
	}
	b := r.Rest[0]
	r.Rest = r.Rest[1:]
	return b
}

// Uint64 reads eight bytes, the highest first.
func (r *Reader) Uint64() uint64 {
	if len(r.Rest) < 8 {
		r.skip(0)
		return 0
	}
	v := binary.BigEndian.Uint64(r.Rest)
	r.Rest = r.Rest[8:]
	return v
}

// skip passes n bytes; none, or a length that encoding/binary refused, is a field that does not fit.
func (r *Reader) skip(n int) bool {
	if n <= 0 {
		r.Bad, r.Rest = true, nil
		return false
	}
	r.Rest = r.Rest[n:]
	return true
}
