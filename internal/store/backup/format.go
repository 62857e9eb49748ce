package backup

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/packed"
)

// format is the one that is written, and the only one that is read.
const format = 1

const (
	magicStem = "floe snapshot "
	magic     = magicStem + "1\n"
)

// kinds of frames.
const (
	kindHeader  = 'h'
	kindRecord  = 'r'
	kindTrailer = 't'
)

// Limits of payloads. A record's leaves half a MiB beyond the largest transaction for what sealing adds, actor and cause.
const (
	maxHeader   = 4 << 10
	maxRecord   = 2 << 20
	trailerSize = 3*8 + digestSize
	digestSize  = 32
)

// maxRevision leaves room for a leap, and for revisions above it, in the signed numbers that clients parse them as.
const maxRevision = math.MaxInt64 - 2*store.RevisionLeap

// payloadLimit returns the largest payload of a kind; -1: there is no such kind.
func payloadLimit(kind byte) int {
	switch kind {
	case kindHeader:
		return maxHeader
	case kindRecord:
		return maxRecord
	case kindTrailer:
		return trailerSize
	}
	return -1
}

// header is the first frame's payload. A reader passes over fields it does not know: what changes the meaning of the rest
// changes the format.
type header struct {
	Format  int       `json:"format"`
	Version string    `json:"version"`
	Time    time.Time `json:"time"`
	Codec   string    `json:"codec,omitempty"` // empty: values are not sealed
}

func parseHeader(b []byte) (header, error) {
	var h header
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	if h.Format != format {
		return h, fmt.Errorf("header states format %d after the first line of format %d", h.Format, format)
	}
	if h.Time.IsZero() {
		return h, errors.New("header states no time")
	}
	h.Time = h.Time.UTC()
	return h, errors.Join(checkName("version", h.Version), checkName("name of the codec", h.Codec))
}

const flagMinor = 1

// record is one as it lies in a payload, whose memory it shares.
type record struct {
	minor                    bool
	revision, previous       store.Revision
	key, actor, cause, value []byte
}

// appendRecord appends the payload of r with the value given, which is sealed or not.
func appendRecord(dst []byte, r *store.Record, value []byte) []byte {
	var flags byte
	if r.Minor {
		flags = flagMinor
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(r.Revision))
	dst = binary.AppendUvarint(dst, uint64(r.Previous))
	dst = binary.AppendVarint(dst, r.Time.UnixMicro())
	for _, s := range [...]string{r.Key, r.Actor, r.Cause} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return append(dst, value...)
}

// parseRecord reads what appendRecord wrote.
func parseRecord(b []byte) (record, error) {
	if len(b) == 0 || b[0]&^flagMinor != 0 {
		return record{}, errors.New("record's flags are not known")
	}
	d := packed.Reader{Rest: b[1:]}
	r := record{minor: b[0]&flagMinor != 0}
	r.revision, r.previous = store.Revision(d.Uvarint()), store.Revision(d.Uvarint())
	d.Varint() // the time, which the destination gives anew
	r.key, r.actor, r.cause = d.Bytes(), d.Bytes(), d.Bytes()
	if d.Bad {
		return record{}, errors.New("record's fields do not fit its length")
	}
	r.value = d.Rest
	return r, r.check()
}

func (r *record) check() error {
	switch {
	case len(r.key) == 0 || bytes.IndexByte(r.key, 0) >= 0:
		return fmt.Errorf("key %.200q is empty or holds a zero byte", r.key)
	case r.revision == 0 || r.previous >= r.revision:
		return fmt.Errorf("key %.200q has revision %d after %d", r.key, r.revision, r.previous)
	}
	return nil
}

// checkSize refuses a plain value that no log would take.
func checkSize[K string | []byte](key K, plain []byte) error {
	if n := len(key) + len(plain); n > store.MaxTxnBytes {
		return fmt.Errorf("key %.200q has %d bytes with its value, at most %d", key, n, store.MaxTxnBytes)
	}
	return nil
}

// trailer is the last frame's payload.
type trailer struct {
	records  uint64
	revision store.Revision
	bytes    uint64
	digest   [digestSize]byte
}

func (t *trailer) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, t.records)
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.revision))
	dst = binary.BigEndian.AppendUint64(dst, t.bytes)
	return append(dst, t.digest[:]...)
}

func parseTrailer(b []byte) (trailer, error) {
	if len(b) != trailerSize {
		return trailer{}, fmt.Errorf("trailer has %d bytes, not %d", len(b), trailerSize)
	}
	return trailer{
		records:  binary.BigEndian.Uint64(b),
		revision: store.Revision(binary.BigEndian.Uint64(b[8:])),
		bytes:    binary.BigEndian.Uint64(b[16:]),
		digest:   [digestSize]byte(b[24:]),
	}, nil
}
