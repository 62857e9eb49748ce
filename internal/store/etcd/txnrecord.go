package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/floe-k8s/floe/internal/store/packed"
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
	d := packed.Reader{Rest: b[1:]}
	r.id = identity{d.Uint64(), d.Uvarint()}
	r.time = time.UnixMicro(d.Varint()).UTC()
	r.actor, r.cause = d.Text(), d.Text()
	n := d.Uvarint()
	if d.Bad || n > stride {
		return txnRecord{}, errDamaged
	}
	r.keys = make([]txnRecordKey, n)
	for i := range r.keys {
		flags := d.Byte()
		if flags&^knownFlags != 0 {
			return txnRecord{}, errDamaged
		}
		r.keys[i] = txnRecordKey{key: d.Text(), minor: flags&flagMinor != 0, deleted: flags&flagDeleted != 0}
	}
	if d.Bad || len(d.Rest) > 0 {
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
