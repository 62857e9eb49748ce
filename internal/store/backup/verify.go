package backup

import (
	"bytes"
	"fmt"
	"io"
)

// Verify reads a snapshot from its first byte to its last and checks all of it: every frame, the order of keys, counts,
// length and digest. It needs no codec; values stay sealed. It returns ErrDamaged or ErrFormat, wrapped with the offset,
// or what r failed with. It does not close r.
func Verify(r io.Reader) (Summary, error) {
	s, _, err := scan(r, visitor{})
	if err != nil {
		return Summary{}, fmt.Errorf("verify: %w", err)
	}
	return s, nil
}

// visitor takes what scan has checked so far. Either func may be nil.
type visitor struct {
	header func(*header) error
	record func(*record) error // the record holds until it returns
}

// scan reads and checks a whole snapshot. What the visitor refuses is wrapped with the offset of the frame. The digest is
// that of the trailer, which binds all before it.
func scan(r io.Reader, v visitor) (Summary, [digestSize]byte, error) {
	var none [digestSize]byte
	f := newFrameReader(r)
	if err := f.start(); err != nil {
		return Summary{}, none, err
	}
	h, err := readHeader(f, v)
	if err != nil {
		return Summary{}, none, err
	}
	t := newTally()
	var rec record // one for all, since it escapes to the visitor
	for {
		kind, payload, at, err := f.next()
		if err != nil {
			return Summary{}, none, err
		}
		switch kind {
		case kindRecord:
			err = visitRecord(t, h, &rec, payload, at, v)
		case kindTrailer:
			return readTrailer(f, t, h, payload, at)
		default:
			err = damage(at, "frame of kind %q where a record or the trailer should stand", kind)
		}
		if err != nil {
			return Summary{}, none, err
		}
	}
}

func readHeader(f *frameReader, v visitor) (*header, error) {
	kind, payload, at, err := f.next()
	if err != nil {
		return nil, err
	}
	if kind != kindHeader {
		return nil, damage(at, "frame of kind %q where the header should stand", kind)
	}
	h, err := parseHeader(payload)
	if err != nil {
		return nil, damage(at, "%w", err)
	}
	if v.header != nil {
		if err := v.header(&h); err != nil {
			return nil, fmt.Errorf("byte %d: %w", at, err)
		}
	}
	return &h, nil
}

func visitRecord(t *tally, h *header, r *record, payload []byte, at int64, v visitor) (err error) {
	*r, err = parseRecord(payload)
	if err == nil && h.Codec == "" {
		err = checkSize(r.key, r.value)
	}
	if err == nil {
		err = t.add(r)
	}
	if err != nil {
		return damage(at, "%w", err)
	}
	if v.record == nil {
		return nil
	}
	if err := v.record(r); err != nil {
		return fmt.Errorf("byte %d: %w", at, err)
	}
	return nil
}

// readTrailer compares what the trailer states with what was read.
func readTrailer(f *frameReader, t *tally, h *header, payload []byte, at int64) (Summary, [digestSize]byte, error) {
	end, err := parseTrailer(payload)
	switch {
	case err != nil:
	case end.records != uint64(t.records):
		err = fmt.Errorf("trailer states %d records, and %d were read", end.records, t.records)
	case end.bytes != uint64(at):
		err = fmt.Errorf("trailer states %d bytes before it, and %d were read", end.bytes, at)
	case !bytes.Equal(end.digest[:], f.digest.Sum(nil)):
		err = fmt.Errorf("digest of the %d bytes before the trailer does not hold", at)
	default:
		err = t.end(end.revision)
	}
	if err != nil {
		return Summary{}, end.digest, damage(at, "%w", err)
	}
	if err := f.finish(); err != nil {
		return Summary{}, end.digest, err
	}
	return t.summary(h, end.revision, f.offset), end.digest, nil
}
