package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floe-k8s/floe/internal/store"
)

func digestOf(b []byte) [digestSize]byte { return sha256.Sum256(b) }

// mend gives the frames of data right checksums, and its trailer a right count, length and digest, as far as there are frames:
// without it no mutation would come past the first checksum.
func mend(data []byte) []byte {
	data = bytes.Clone(data)
	table := crc32.MakeTable(crc32.Castagnoli)
	records := uint64(0)
	for at := min(len(magic), len(data)); at+frameExtra <= len(data); {
		n := int64(binary.BigEndian.Uint32(data[at+1:]))
		if n > int64(len(data)-at-frameExtra) {
			break
		}
		body := at + frameHead + int(n)
		switch {
		case data[at] == kindRecord:
			records++
		case data[at] == kindTrailer && n == trailerSize:
			payload := data[at+frameHead : body]
			binary.BigEndian.PutUint64(payload, records)
			binary.BigEndian.PutUint64(payload[16:], uint64(at))
			digest := digestOf(data[:at])
			copy(payload[24:], digest[:])
		}
		binary.BigEndian.PutUint32(data[body:], crc32.Checksum(data[at:body], table))
		at = body + frameSum
	}
	return data
}

// FuzzVerify feeds any bytes, as they are and mended. What is accepted must be restorable, and come out again as it went in.
func FuzzVerify(f *testing.F) {
	whole, _ := mustSave(f, sample(f), plainly)
	empty, _ := mustSave(f, newMemory(3), plainly)
	opts := plainly
	opts.Sealing = sealing(f, "aesgcm", 1)
	sealed, _ := mustSave(f, sample(f), opts)
	for _, seed := range [][]byte{whole, empty, sealed, nil, []byte(magic), whole[:len(whole)/2], append(bytes.Clone(whole), whole...)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkAny(t, data)
		checkAny(t, mend(data))
	})
}

func checkAny(t *testing.T, data []byte) {
	s, err := Verify(bytes.NewReader(data))
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) || !names.MatchString(err.Error()) {
			t.Fatalf("refused without class or offset: %v", err)
		}
		return
	}
	if s.Bytes != int64(len(data)) {
		t.Fatalf("accepted with %d bytes, and there are %d", s.Bytes, len(data))
	}
	dst := newMemory(s.Revision + store.RevisionLeap)
	if _, err := Restore(t.Context(), bytes.NewReader(data), dst, Sealing{}); err != nil {
		if s.Sealed && errors.Is(err, ErrSealed) && dst.txns == 0 {
			return
		}
		t.Fatalf("verified, and not restored: %v", err)
	}
	if int64(len(dst.state)) != s.Records {
		t.Fatalf("%d keys restored of %d records", len(dst.state), s.Records)
	}
	again, _ := mustSave(t, dst, plainly)
	twice := newMemory(dst.assigned + store.RevisionLeap)
	if _, err := Restore(t.Context(), bytes.NewReader(again), twice, Sealing{}); err != nil {
		t.Fatalf("saved again, and not restored: %v", err)
	}
	if diff := cmp.Diff(dst.contents(), twice.contents()); diff != "" {
		t.Fatalf("second restore differs from the first:\n%s", diff)
	}
}
