package carry

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// packed returns a file of a "linked program" that carries programs a and b.
func packed(t *testing.T) (file string, a, b []byte) {
	t.Helper()
	dir := t.TempDir()
	a, b = bytes.Repeat([]byte("program a "), 10_000), []byte("b")
	linked := []byte("linked program")
	var out bytes.Buffer
	out.Write(linked)
	paths := []string{write(t, filepath.Join(dir, "floe-a"), a), write(t, filepath.Join(dir, "floe-b"), b)}
	if err := Append(&out, int64(len(linked)), paths); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "floe"), out.Bytes()), a, b
}

func TestCarriedProgramsAreUnpackedOnce(t *testing.T) {
	file, a, b := packed(t)
	programs, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bin")
	for name, want := range map[string][]byte{"floe-a": a, "floe-b": b} {
		path, err := programs.Path(name, dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, error %v, want %d bytes", name, len(got), err, len(want))
		}
		before, err := os.Stat(path)
		if err != nil || before.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, error %v, want 0700", name, before.Mode(), err)
		}
		if _, err := programs.Path(name, dir); err != nil {
			t.Fatal(err)
		}
		if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was replaced by the second use (error %v)", name, err)
		}
	}
}

func TestProgramBesideIsFound(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "floe"), []byte("nothing appended to this one"))
	programs, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := programs.Path("floe-a", dir); !errors.Is(err, ErrAbsent) {
		t.Errorf("got %v, want ErrAbsent", err)
	}
	want := write(t, filepath.Join(dir, "floe-a"), []byte("a"))
	if got, err := programs.Path("floe-a", dir); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestDamageIsFound flips each byte of the appended part in turn: nothing damaged may ever be handed out.
func TestDamageIsFound(t *testing.T) {
	file, a, _ := packed(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := len("linked program"); i < len(whole); i++ {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x41
		bad := write(t, filepath.Join(t.TempDir(), "floe"), damaged)
		programs, err := Open(bad)
		if err != nil {
			continue
		}
		path, err := programs.Path("floe-a", t.TempDir())
		if err != nil {
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, a) {
			t.Fatalf("byte %d flipped: a damaged program was unpacked (error %v)", i, err)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte("linked[]\x02\x00\x00\x00\x00\x00\x00\x00" + mark))
	f.Add([]byte(mark))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := readIndex(bytes.NewReader(data), int64(len(data)))
		if err != nil && list != nil {
			t.Errorf("an index with error %v was returned", err)
		}
	})
}
