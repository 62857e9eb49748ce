package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/packed"
)

// recordFormat is the first byte of every stored version and row. The bytes of format 1, after it and the flags:
//
//	version:                                  row:
//	previous  uvarint                         time      varint, microseconds since 1970
//	gap       uvarint                         previous  uvarint
//	time      varint                          size      uvarint, of the version's value
//	actor     uvarint length, bytes           replaced  uvarint, size of the previous one's value
//	cause     uvarint length, bytes           key       the rest
//	value     the rest
//
// The key and the revision of a version, and the revision of a row, are in their database keys.
const recordFormat = 1

// flags of versions and rows.
const (
	flagLast      = 1 << iota // ends its transaction
	flagDeleted               // is a deletion
	flagMinor                 // need not be kept once it is replaced
	flagSealed                // of versions: the value went through the codec
	flagOverMinor             // of rows: what it replaced was minor

	versionFlags = flagLast | flagDeleted | flagMinor | flagSealed
	rowFlags     = flagLast | flagDeleted | flagOverMinor
)

// errCorrupt marks bytes that are no record.
var errCorrupt = errors.New("record is damaged")

const (
	versionPrefix = 'o'
	rowPrefix     = 'r'
	numberPrefix  = 'm'
)

// version is a record as it lies under its key.
type version struct {
	store.Record
	// gap is the revision of the oldest of the minor versions right before this one; 0: there is none. They are taken away early, so
	// that the key's state from gap until this version may not be known.
	gap store.Revision
}

// row is a record's place in the order of all.
type row struct {
	revision  store.Revision
	key       string
	time      time.Time
	previous  store.Revision // the version that it replaced; 0: none
	size      int            // bytes of its value
	replaced  int            // bytes of the value that it replaced
	last      bool
	deleted   bool
	overMinor bool // the version that it replaced was minor
}

// keyStart is the least database key of a key's versions; its newest version comes next. Keys hold no zero byte.
func keyStart(dst []byte, key string) []byte {
	dst = append(dst, versionPrefix)
	dst = append(dst, key...)
	return append(dst, 0)
}

// keyEnd is above all versions of a key, and at or below the next key's.
func keyEnd(key string) []byte {
	return append(append([]byte{versionPrefix}, key...), 1)
}

func versionKey(dst []byte, key string, rev store.Revision) []byte {
	return binary.BigEndian.AppendUint64(keyStart(dst, key), ^uint64(rev))
}

func rowKey(rev store.Revision) []byte {
	return binary.BigEndian.AppendUint64([]byte{rowPrefix}, uint64(rev))
}

func numberKey(name string) []byte { return append([]byte{numberPrefix}, name...) }

// splitVersionKey reads what versionKey made.
func splitVersionKey(k []byte) (key []byte, rev store.Revision, err error) {
	n := len(k) - 9
	if n < 1 || k[0] != versionPrefix || k[n] != 0 {
		return nil, 0, fmt.Errorf("database key %q: %w", k, errCorrupt)
	}
	return k[1:n], store.Revision(^binary.BigEndian.Uint64(k[n+1:])), nil
}

func flag(b byte, set bool) byte {
	if set {
		return b
	}
	return 0
}

// encodeVersion appends a record's version to dst, with a value that stands for the record's and is sealed or not.
func encodeVersion(dst []byte, r *store.Record, gap store.Revision, value []byte, sealed bool) []byte {
	flags := flag(flagLast, r.Last) | flag(flagDeleted, r.Value == nil) | flag(flagMinor, r.Minor) | flag(flagSealed, sealed)
	dst = append(dst, recordFormat, flags)
	dst = binary.AppendUvarint(dst, uint64(r.Previous))
	dst = binary.AppendUvarint(dst, uint64(gap))
	dst = binary.AppendVarint(dst, r.Time.UnixMicro())
	for _, s := range [...]string{r.Actor, r.Cause} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return append(dst, value...)
}

// decodeVersion reads what encodeVersion wrote, but for key and revision. The value is a part of b, and sealed says whether it
// has to be opened.
func decodeVersion(b []byte) (v version, sealed bool, err error) {
	flags, d, err := decodeHead(b, versionFlags)
	if err != nil {
		return version{}, false, err
	}
	v.Last, v.Minor = flags&flagLast != 0, flags&flagMinor != 0
	v.Previous, v.gap = store.Revision(d.Uvarint()), store.Revision(d.Uvarint())
	v.Time = time.UnixMicro(d.Varint()).UTC()
	v.Actor, v.Cause = d.Text(), d.Text()
	deleted := flags&flagDeleted != 0
	if d.Bad || deleted && len(d.Rest) > 0 {
		return version{}, false, errCorrupt
	}
	if !deleted {
		v.Value = d.Rest
	}
	return v, flags&flagSealed != 0, nil
}

func encodeRow(dst []byte, r *row) []byte {
	flags := flag(flagLast, r.last) | flag(flagDeleted, r.deleted) | flag(flagOverMinor, r.overMinor)
	dst = append(dst, recordFormat, flags)
	dst = binary.AppendVarint(dst, r.time.UnixMicro())
	for _, n := range [...]uint64{uint64(r.previous), uint64(r.size), uint64(r.replaced)} {
		dst = binary.AppendUvarint(dst, n)
	}
	return append(dst, r.key...)
}

// decodeRow reads what encodeRow wrote, but for the revision. It shares no memory with b.
func decodeRow(b []byte) (row, error) {
	flags, d, err := decodeHead(b, rowFlags)
	if err != nil {
		return row{}, err
	}
	r := row{last: flags&flagLast != 0, deleted: flags&flagDeleted != 0, overMinor: flags&flagOverMinor != 0}
	r.time = time.UnixMicro(d.Varint()).UTC()
	r.previous = store.Revision(d.Uvarint())
	r.size, r.replaced = d.Size(store.MaxTxnBytes), d.Size(store.MaxTxnBytes)
	if d.Bad || len(d.Rest) == 0 {
		return row{}, errCorrupt
	}
	r.key = string(d.Rest)
	return r, nil
}

// decodeHead checks what versions and rows begin with.
func decodeHead(b []byte, known byte) (flags byte, d packed.Reader, err error) {
	if len(b) < 2 {
		return 0, d, errCorrupt
	}
	if b[0] != recordFormat {
		return 0, d, fmt.Errorf("record format %d is not known to this version of floe", b[0])
	}
	if b[1]&^known != 0 {
		return 0, d, errCorrupt
	}
	return b[1], packed.Reader{Rest: b[2:]}, nil
}
