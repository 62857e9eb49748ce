package pebble

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// BenchmarkOpenEmpty opens a log in a directory that does not exist, on a real disk.
func BenchmarkOpenEmpty(b *testing.B) {
	root := b.TempDir()
	for i := range b.N {
		l, err := Open(Options{Dir: filepath.Join(root, strconv.Itoa(i))})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkLoneSync is what one sync costs below the log, and BenchmarkLoneAppend what it costs through it.
func BenchmarkLoneSync(b *testing.B) {
	l := mustOpen(b, Options{Dir: b.TempDir()})
	defer l.Close()
	value := make([]byte, 2048)
	for b.Loop() {
		if err := l.db.Set([]byte("x"), value, pebble.Sync); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoneAppend(b *testing.B) {
	l := mustOpen(b, Options{Dir: b.TempDir()})
	defer l.Close()
	value := string(make([]byte, 1024))
	for b.Loop() {
		if _, err := l.Append(context.Background(), change("k", value)); err != nil {
			b.Fatal(err)
		}
	}
}
