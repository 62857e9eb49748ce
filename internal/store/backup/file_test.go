package backup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/store"
)

func fileOptions() FileOptions { return FileOptions{Options: plainly} }

// checkFolder compares the names in a folder.
func checkFolder(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("folder holds %q, want %q", got, want)
	}
}

func checkSnapshot(t *testing.T, path string) Summary {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Verify(bytes.NewReader(b))
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return s
}

func TestSaveFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "floe.snapshot")
	if _, err := SaveFile(t.Context(), sample(t), path, fileOptions()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if s := checkSnapshot(t, path); s.Records != 5 {
		t.Errorf("%d records, want 5", s.Records)
	}
	checkFolder(t, folder, "floe.snapshot")
}

func TestSaveFileReplacesOnlyWhenTold(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	opts := fileOptions()
	if _, err := SaveFile(t.Context(), sample(t), path, opts); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want ErrExist that names the file", err)
	}
	if b, err := os.ReadFile(path); string(b) != "mine" {
		t.Errorf("file is now %q, %v", b, err)
	}
	opts.Overwrite = true
	if _, err := SaveFile(t.Context(), sample(t), path, opts); err != nil {
		t.Fatal(err)
	}
	checkSnapshot(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("replaced file has mode %v, %v; want 0600", info.Mode(), err)
	}
	checkFolder(t, folder, "a")
}

func TestSaveFileRefusesWhatIsNoFile(t *testing.T) {
	folder := t.TempDir()
	opts := fileOptions()
	opts.Overwrite = true
	link := filepath.Join(folder, "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, link, "/dev/null"} {
		if _, err := SaveFile(t.Context(), sample(t), path, opts); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: got %v, want ErrExist", path, err)
		}
	}
	if _, err := SaveFile(t.Context(), sample(t), filepath.Join(folder, "no", "a"), opts); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make the folder") {
		t.Errorf("missing folder: got %v", err)
	}
	if _, err := SaveFile(t.Context(), sample(t), "", opts); err == nil {
		t.Error("no name: want an error")
	}
	checkFolder(t, folder, "link")
}

// faulty is a part that fails at one of its calls.
type faulty struct {
	*os.File
	writes              int // how many succeed; negative: all
	failSync, failClose bool
	err                 error
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.writes == 0 {
		n, _ := f.File.Write(b[:len(b)/2]) // a full disk takes what it can
		return n, f.err
	}
	f.writes--
	return f.File.Write(b)
}

func (f *faulty) Sync() error {
	if f.failSync {
		return f.err
	}
	return f.File.Sync()
}

func (f *faulty) Close() error {
	if err := f.File.Close(); err != nil || !f.failClose {
		return err
	}
	return f.err
}

func TestSaveFileThatFailsLeavesNothing(t *testing.T) {
	src := many(t, 1000, 1024)
	for name, fault := range map[string]faulty{
		"first write": {writes: 0},
		"third write": {writes: 2},
		"sync":        {writes: -1, failSync: true},
		"close":       {writes: -1, failClose: true},
	} {
		folder := t.TempDir()
		path := filepath.Join(folder, "a")
		if _, err := SaveFile(t.Context(), sample(t), path, fileOptions()); err != nil {
			t.Fatal(err)
		}
		opts := fileOptions()
		opts.Overwrite = true
		fault.err = unix.ENOSPC
		_, err := saveFile(t.Context(), src, path, opts, func(f *os.File) sink { fault.File = f; return &fault })
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "make room in "+folder) {
			t.Errorf("%s: got %v, want it to name the file and what to do", name, err)
		}
		checkFolder(t, folder, "a")
		if s := checkSnapshot(t, path); s.Records != 5 {
			t.Errorf("%s: the snapshot before it has %d records now, want its 5", name, s.Records)
		}
	}
}

func TestSaveFileOfAFailingSourceLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	broken := errors.New("broken")
	if _, err := SaveFile(t.Context(), list{err: broken}, filepath.Join(folder, "a"), fileOptions()); !errors.Is(err, broken) {
		t.Errorf("source: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := SaveFile(ctx, sample(t), filepath.Join(folder, "a"), fileOptions()); !errors.Is(err, context.Canceled) {
		t.Errorf("context: got %v", err)
	}
	checkFolder(t, folder)
}

func TestAPartThatWasLeftIsTakenAway(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	if err := os.WriteFile(path+partSuffix, []byte("half"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := SaveFile(t.Context(), sample(t), path, fileOptions()); err != nil {
		t.Fatal(err)
	}
	checkSnapshot(t, path)
	checkFolder(t, folder, "a")
}

func TestAPartThatIsNoFileIsRefused(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	if err := unix.Mkfifo(path+partSuffix, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SaveFile(t.Context(), sample(t), path, fileOptions()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want ErrExist", err)
	}
	checkFolder(t, folder, "a.part")
}

func TestASaveUnderWayIsNotDisturbed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	var second error
	src := writing{sample(t), func(i int) {
		if i == 2 {
			_, second = SaveFile(t.Context(), sample(t), path, fileOptions())
		}
	}}
	if _, err := SaveFile(t.Context(), src, path, fileOptions()); err != nil {
		t.Errorf("first save: %v", err)
	}
	if !errors.Is(second, errBusy) || !strings.Contains(second.Error(), "wait for that save") {
		t.Errorf("second save: got %v, want %v", second, errBusy)
	}
	checkSnapshot(t, path)
}

func TestAFileThatAppearsMeanwhileIsNotReplaced(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	src := writing{sample(t), func(int) {
		if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
			t.Error(err)
		}
	}}
	if _, err := SaveFile(t.Context(), src, path, fileOptions()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want ErrExist", err)
	}
	if b, err := os.ReadFile(path); string(b) != "mine" {
		t.Errorf("file is now %q, %v", b, err)
	}
	checkFolder(t, folder, "a")
}

func TestManySavesAtOnceLeaveOneWholeFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	src := many(t, 200, 1024)
	opts := fileOptions()
	opts.Overwrite = true
	var saves sync.WaitGroup
	var done atomic.Int64
	for range 16 {
		saves.Go(func() {
			for range 10 {
				_, err := SaveFile(t.Context(), src, path, opts)
				if err == nil {
					done.Add(1)
					checkSnapshot(t, path)
				} else if !errors.Is(err, errBusy) {
					t.Error(err)
				}
			}
		})
	}
	saves.Wait()
	if done.Load() == 0 {
		t.Error("none of them got through")
	}
	checkFolder(t, folder, "a")
}

func TestRestoreFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	src := sample(t)
	s, err := SaveFile(t.Context(), src, path, fileOptions())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dst := newMemory(s.Revision + store.RevisionLeap)
	if _, err := Restore(t.Context(), f, dst, Sealing{}); err != nil {
		t.Fatal(err)
	}
	if len(dst.state) != len(src.state) {
		t.Errorf("%d keys, want %d", len(dst.state), len(src.state))
	}
}
