package backup

import (
	"bytes"
	"io"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
)

// The benchmarks measure the snapshot's own cost, at 100,000 records of 1 KiB: the logs are in memory.

func BenchmarkSave(b *testing.B) {
	src := list{}
	rev, err := many(b, 100_000, 1024).Load(b.Context(), func(r store.Record) error {
		src.records = append(src.records, r)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	src.rev = rev
	sealed := plainly
	sealed.Sealing = sealing(b, "aesgcm", 1)
	for name, opts := range map[string]Options{"plain": plainly, "sealed": sealed} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s, err := Save(b.Context(), src, io.Discard, opts)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(s.Bytes)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	file, s := mustSave(b, many(b, 100_000, 1024), plainly)
	b.SetBytes(s.Bytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Verify(bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestore(b *testing.B) {
	file, s := mustSave(b, many(b, 100_000, 1024), plainly)
	b.SetBytes(s.Bytes)
	b.ReportAllocs()
	for b.Loop() {
		dst := newMemory(s.Revision + store.RevisionLeap)
		if _, err := Restore(b.Context(), bytes.NewReader(file), dst, Sealing{}); err != nil {
			b.Fatal(err)
		}
	}
}
