package shim

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// stamp is the time of all entries in these tests, and head what it looks like.
var stamp = time.Date(2026, 11, 21, 2, 44, 3, 123, time.FixedZone("", 3600))

const head = "2026-11-21T01:44:03.000000123Z "

func TestLogEntries(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"a line", "hello\n", "stdout F hello\n"},
		{"lines", "a\n\nb\n", "stdout F a\nstdout F \nstdout F b\n"},
		{"no break at the end", "a\nb", "stdout F a\nstdout F b\n"},
		{"just fits", long + "\n", "stdout F " + long + "\n"},
		{"just fits, no break", long, "stdout F " + long + "\n"},
		{"one too many", long + "y\n", "stdout P " + long + "\nstdout F y\n"},
		{"two and a bit", long + long + "y", "stdout P " + long + "\nstdout P " + long + "\nstdout F y\n"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in)), iotest.HalfReader(strings.NewReader(c.in))} {
			path := filepath.Join(t.TempDir(), "dir", "0.log")
			l, err := OpenLog(path, func() time.Time { return stamp })
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Copy("stdout", r); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(c.want, "stdout", head+"stdout"); string(got) != want {
				t.Errorf("%s: got %.100q (%d bytes), want %.100q (%d bytes)", c.name, got, len(got), want, len(want))
			}
		}
	}
}

func TestLogReopens(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "0.log")
	l, err := OpenLog(path, func() time.Time { return stamp })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, step := range []struct{ line, moved string }{{"one", path + ".1"}, {"two", path + ".2"}} {
		if err := l.Copy("stderr", strings.NewReader(step.line+"\n")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, step.moved); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(step.moved); err != nil || string(got) != head+"stderr F "+step.line+"\n" {
			t.Errorf("%s: %q, %v", step.moved, got, err)
		}
	}
}

// TestFullDiskLosesOutputOnly writes where there is no room: the copy goes on, and Err says why.
func TestFullDiskLosesOutputOnly(t *testing.T) {
	l, err := OpenLog("/dev/full", func() time.Time { return stamp })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Copy("stdout", strings.NewReader(strings.Repeat("line\n", 100000))); err != nil {
		t.Errorf("the copy ended: %v", err)
	}
	if l.Err() == nil {
		t.Error("nothing was lost on a full disk")
	}
}
