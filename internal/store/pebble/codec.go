package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/floe-k8s/floe/internal/store"
)

// recordFormat is the first byte of every stored record. The bytes of format 1:
//
//	format    byte
//	flags     byte: flagLast, flagDeleted
//	revision  uvarint
//	previous  uvarint
//	time      varint, microseconds since 1970
//	key       uvarint length, bytes
//	actor     uvarint length, bytes
//	cause     uvarint length, bytes
//	value     the rest
const recordFormat = 1

const (
	flagLast = 1 << iota
	flagDeleted
	knownFlags = flagLast | flagDeleted
)

// errCorrupt marks bytes that are no record.
var errCorrupt = errors.New("record is damaged")

const (
	objectPrefix = 'o'
	recordPrefix = 'r'
)

func objectKey(key string) []byte {
	return append([]byte{objectPrefix}, key...)
}

func recordKey(rev store.Revision) []byte {
	return binary.BigEndian.AppendUint64([]byte{recordPrefix}, uint64(rev))
}

// encodeRecord appends the record's bytes to dst.
func encodeRecord(dst []byte, r *store.Record) []byte {
	var flags byte
	if r.Last {
		flags |= flagLast
	}
	if r.Value == nil {
		flags |= flagDeleted
	}
	dst = append(dst, recordFormat, flags)
	dst = binary.AppendUvarint(dst, uint64(r.Revision))
	dst = binary.AppendUvarint(dst, uint64(r.Previous))
	dst = binary.AppendVarint(dst, r.Time.UnixMicro())
	for _, s := range []string{r.Key, r.Actor, r.Cause} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return append(dst, r.Value...)
}

// decodeRecord reads what encodeRecord wrote. The record shares no memory with b.
func decodeRecord(b []byte) (store.Record, error) {
	var r store.Record
	if len(b) < 2 {
		return r, errCorrupt
	}
	if b[0] != recordFormat {
		return r, fmt.Errorf("record format %d is not known to this version of floe", b[0])
	}
	flags := b[1]
	if flags&^knownFlags != 0 {
		return r, errCorrupt
	}
	d := decoder{rest: b[2:]}
	r.Last = flags&flagLast != 0
	r.Revision = store.Revision(d.uvarint())
	r.Previous = store.Revision(d.uvarint())
	r.Time = time.UnixMicro(d.varint()).UTC()
	r.Key, r.Actor, r.Cause = d.text(), d.text(), d.text()
	if d.bad || flags&flagDeleted != 0 && len(d.rest) > 0 {
		return store.Record{}, errCorrupt
	}
	if flags&flagDeleted == 0 {
		r.Value = append(make([]byte, 0, len(d.rest)), d.rest...)
	}
	return r, nil
}

// decoder reads the fields of one record; bad is set at the first that does not fit.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	d.skip(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	d.skip(n)
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if d.bad || n > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) skip(n int) {
	if n <= 0 {
		d.bad, d.rest = true, nil
		return
	}
	d.rest = d.rest[n:]
}

// decodeRevision reads only a record's revision.
func decodeRevision(b []byte) (store.Revision, error) {
	if len(b) < 2 {
		return 0, errCorrupt
	}
	if b[0] != recordFormat {
		return 0, fmt.Errorf("record format %d is not known to this version of floe", b[0])
	}
	d := decoder{rest: b[2:]}
	rev := store.Revision(d.uvarint())
	if d.bad {
		return 0, errCorrupt
	}
	return rev, nil
}
