package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// txnFormat is the first byte of the transaction key's value. The bytes of format 1:
//
//	format   byte
//	writer   8 bytes, big endian
//	counter  uvarint
//	time     varint, microseconds since 1970
//	actor    uvarint length, bytes
//	cause    uvarint length, bytes
//	keys     uvarint count, then of each: flags byte, uvarint length, bytes
const txnFormat = 1

const (
	flagMinor = 1 << iota
	flagDeleted
	knownFlags = flagMinor | flagDeleted
)

var errDamaged = errors.New("transaction record is damaged")

// identity tells one transaction from every other of every process.
type identity struct{ writer, counter uint64 }

// txnRecord is what the transaction key says of one transaction.
type txnRecord struct {
	id           identity
	time         time.Time
	actor, cause string
	keys         []txnRecordKey // in their order
}

type txnRecordKey struct {
	key     string
	minor   bool
	deleted bool
}

func (r *txnRecord) encode() []byte {
	b := append(make([]byte, 0, 64+96*len(r.keys)), txnFormat)
	b = binary.BigEndian.AppendUint64(b, r.id.writer)
	b = binary.AppendUvarint(b, r.id.counter)
	b = binary.AppendVarint(b, r.time.UnixMicro())
	b = appendText(b, r.actor)
	b = appendText(b, r.cause)
	b = binary.AppendUvarint(b, uint64(len(r.keys)))
	for _, k := range r.keys {
		var flags byte
		if k.minor {
			flags |= flagMinor
		}
		if k.deleted {
			flags |= flagDeleted
		}
		b = appendText(append(b, flags), k.key)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeTxn reads what encode wrote. The record shares no memory with b.
func decodeTxn(b []byte) (txnRecord, error) {
	var r txnRecord
	if len(b) == 0 {
		return r, errDamaged
	}
	if b[0] != txnFormat {
		return r, fmt.Errorf("transaction record format %d is not known to this version of floe", b[0])
	}
	d := decoder{rest: b[1:]}
	r.id = identity{d.fixed(), d.uvarint()}
	r.time = time.UnixMicro(d.varint()).UTC()
	r.actor, r.cause = d.text(), d.text()
	n := d.uvarint()
	if d.bad || n > stride {
		return txnRecord{}, errDamaged
	}
	r.keys = make([]txnRecordKey, n)
	for i := range r.keys {
		flags := d.byte()
		if flags&^knownFlags != 0 {
			return txnRecord{}, errDamaged
		}
		r.keys[i] = txnRecordKey{key: d.text(), minor: flags&flagMinor != 0, deleted: flags&flagDeleted != 0}
	}
	if d.bad || len(d.rest) > 0 {
		return txnRecord{}, errDamaged
	}
	return r, nil
}

// place returns where key stands in the transaction; -1: nowhere.
func (r *txnRecord) place(key string) int {
	for i := range r.keys {
		if r.keys[i].key == key {
			return i
		}
	}
	return -1
}

// decoder reads the fields of one record; bad is set at the first that does not fit.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) fixed() uint64 {
	if len(d.rest) < 8 {
		d.skip(0)
		return 0
	}
	v := binary.BigEndian.Uint64(d.rest)
	d.skip(8)
	return v
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.skip(0)
		return 0
	}
	v := d.rest[0]
	d.skip(1)
	return v
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
		d.skip(0)
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
