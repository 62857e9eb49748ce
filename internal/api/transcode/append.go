package transcode

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

// maxDepth bounds how deep messages stand within messages. The API's own types, but for schemas, are less than 20 deep.
const maxDepth = 100

// ErrUnusual says that a message is not as the generated code writes it, and is to be decoded instead.
var ErrUnusual = errors.New("message is not as the generated code writes it")

// span is where a field stands in its message: of a single value its bytes, of others all from the first tag on. to is 0 when the field is not there.
type span struct{ from, to int32 }

// encoder is what one call of Append needs.
type encoder struct {
	revision uint64
	spans    []span // of all messages that are being written, the innermost last
	depth    int
}

// Append appends the JSON of the object that msg is the message of, without kind and apiVersion, to dst; its resourceVersion is revision. msg is not
// kept. After an error what is appended is no JSON. An error that is not ErrUnusual is encoding/json's own.
func (f *Form) Append(dst, msg []byte, revision uint64) ([]byte, error) {
	e := f.encoders.Get().(*encoder)
	defer f.encoders.Put(e)
	e.revision, e.spans, e.depth = revision, e.spans[:0], 0
	return f.root.write(e, dst, msg)
}

// write appends a struct.
func (p *plan) write(e *encoder, dst, b []byte) ([]byte, error) {
	dst, err := p.members(e, append(dst, '{'), b)
	return append(dst, '}'), err
}

// members appends the fields of a struct, with a comma before each but the first of the object that dst ends in.
func (p *plan) members(e *encoder, dst, b []byte) (_ []byte, err error) {
	if e.depth++; e.depth > maxDepth || len(b) > math.MaxInt32 {
		return dst, ErrUnusual
	}
	base := len(e.spans)
	e.spans = append(e.spans, p.blank...)
	if err := p.scan(e.spans[base:], b); err != nil {
		return dst, err
	}
	for i := range p.fields {
		if dst, err = p.fields[i].append(e, dst, b, e.spans[base+i]); err != nil {
			return dst, err
		}
	}
	e.spans = e.spans[:base]
	e.depth--
	return dst, nil
}

// scan finds where the fields of b stand.
func (p *plan) scan(spans []span, b []byte) error {
	last := uint64(0)
	for at := 0; at < len(b); {
		tag, n := uvarint(b[at:])
		number := tag >> 3
		if n <= 0 || number >= uint64(len(p.byNumber)) || p.byNumber[number] == 0 {
			return ErrUnusual
		}
		index := p.byNumber[number] - 1
		f := &p.fields[index]
		from, to, ok := bounds(b, at+n, wireType(tag&7))
		if !ok || wireType(tag&7) != f.wire {
			return ErrUnusual
		}
		switch {
		case number > last && f.shape == single:
			spans[index] = span{int32(from), int32(to)}
		case number > last:
			spans[index] = span{int32(at), int32(to)}
		case number == last && f.shape != single:
			spans[index].to = int32(to)
		default:
			return ErrUnusual
		}
		last, at = number, to
	}
	return nil
}

// bounds is where the value that begins at at stands, without its length; ok is false when it is not whole.
func bounds(b []byte, at int, wire wireType) (from, to int, ok bool) {
	switch wire {
	case varint:
		_, n := uvarint(b[at:])
		return at, at + n, n > 0
	case fixed64:
		return at, at + 8, len(b)-at >= 8
	case counted:
		size, n := uvarint(b[at:])
		if n <= 0 || size > uint64(len(b)-at-n) {
			return 0, 0, false
		}
		return at + n, at + n + int(size), true
	}
	return 0, 0, false
}

// uvarint is binary.Uvarint, which is called for every tag and length: nearly all are one byte.
func uvarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}

// append appends a field of the message b, with its key, unless it is left out.
func (f *field) append(e *encoder, dst, b []byte, s span) ([]byte, error) {
	there := s.to != 0
	switch {
	case f.inline != nil:
		return f.write(e, dst, b[s.from:s.to])
	case f.isVersion:
		dst = append(f.opening(dst), '"')
		return append(strconv.AppendUint(dst, e.revision, 10), '"'), nil
	case !there && f.omitEmpty && (f.empty != nil || f.optional || f.shape != single):
		return dst, nil
	case there && f.omitEmpty && !f.optional && f.shape == single && f.empty != nil && f.empty(b[s.from:s.to]):
		return dst, nil
	}
	dst = f.opening(dst)
	switch {
	case !there && (f.null || f.optional || f.shape != single):
		return append(dst, "null"...), nil
	case f.shape == list:
		return f.list(e, dst, b[s.from:s.to])
	case f.shape == dict:
		return f.dict(e, dst, b[s.from:s.to])
	}
	return f.write(e, dst, b[s.from:s.to])
}

// opening appends what stands before a field's value. No value ends in a brace that opens, so that one says that the field is the first.
func (f *field) opening(dst []byte) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(dst, f.key...)
}

// elements calls write with each value of a field that is repeated; b is all its tags and values.
func (f *field) elements(b []byte, write func(element []byte) error) error {
	for at := 0; at < len(b); {
		tag, n := uvarint(b[at:])
		if n <= 0 || tag != f.number<<3|uint64(f.wire) {
			return ErrUnusual
		}
		from, to, ok := bounds(b, at+n, f.wire)
		if !ok {
			return ErrUnusual
		}
		if err := write(b[from:to]); err != nil {
			return err
		}
		at = to
	}
	return nil
}

func (f *field) list(e *encoder, dst, b []byte) ([]byte, error) {
	dst = append(dst, '[')
	first := true
	err := f.elements(b, func(element []byte) (err error) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst, err = f.write(e, dst, element)
		return err
	})
	return append(dst, ']'), err
}

// dict appends a map, whose codec writes one entry and holds that the keys ascend.
func (f *field) dict(e *encoder, dst, b []byte) ([]byte, error) {
	dst = append(dst, '{')
	var last []byte
	err := f.elements(b, func(entry []byte) (err error) {
		key, _, ok := entryKey(entry)
		if !ok || last != nil && string(key) <= string(last) {
			return ErrUnusual
		}
		if last != nil {
			dst = append(dst, ',')
		}
		if last = key; last == nil {
			last = []byte{}
		}
		dst, err = f.write(e, dst, entry)
		return err
	})
	return append(dst, '}'), err
}
