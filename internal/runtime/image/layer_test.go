package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/layer"
	"github.com/floe-k8s/floe/internal/runtime/shim/shimtest"
)

var shimPath string

func TestMain(m *testing.M) {
	for env, role := range map[string]func(string) error{benchServeEnv: benchServe, benchPullEnv: benchPull, crashEnv: crashProcess} {
		if job := os.Getenv(env); job != "" {
			if err := role(job); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	dir, err := os.MkdirTemp("", "floe-image-test-")
	if err == nil {
		err = shimtest.Build(dir, "floe-shim")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shimPath = filepath.Join(dir, "floe-shim")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// entry is a tar header with content.
type entry struct {
	tar.Header
	content string
}

func dir(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

func file(name, content string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content: content}
}

func link(kind byte, name, target string) entry {
	return entry{Header: tar.Header{Typeflag: kind, Name: name, Linkname: target, Mode: 0o777}}
}

func (e entry) with(change func(*tar.Header)) entry {
	change(&e.Header)
	return e
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		h.Format = tar.FormatPAX
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(1e9, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpackIn unpacks data into a new directory below base, on top of parents (uppermost first).
func unpackIn(t testing.TB, base string, data []byte, parents ...string) (string, layer.Result, error) {
	t.Helper()
	target, err := os.MkdirTemp(base, "layer-")
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(blob, data, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	job := Job{Blob: func(context.Context) (io.ReadCloser, error) { return os.Open(blob) }, Target: dir}
	if len(parents) > 0 {
		job.Below = func(context.Context) ([]*os.File, error) { return openAll(parents) }
	}
	result, err := ShimUnpacker(shimPath)(context.Background(), job)
	return target, result, err
}

func openAll(paths []string) ([]*os.File, error) {
	var files []*os.File
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func TestUnpackKeepsWhatALayerSays(t *testing.T) {
	data := archive(t,
		dir("etc").with(func(h *tar.Header) { h.Mode = 0o1750; h.Uid, h.Gid = 5, 6 }),
		file("etc/conf", "x=1").with(func(h *tar.Header) {
			h.Mode, h.Uid, h.Gid = 0o4755, 7, 8
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.note": "kept", "SCHILY.xattr.security.selinux": "dropped"}
		}),
		link(tar.TypeSymlink, "etc/abs", "/etc/conf"),
		link(tar.TypeLink, "etc/hard", "etc/conf"),
		entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}},
		entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "fifo", Mode: 0o600}},
	)
	var zipped, zstded bytes.Buffer
	g := gzip.NewWriter(&zipped)
	g.Write(data)
	g.Close()
	z, err := zstd.NewWriter(&zstded)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(data)
	z.Close()
	for name, blob := range map[string][]byte{"plain": data, "gzip": zipped.Bytes(), "zstd": zstded.Bytes()} {
		root, result, err := unpackIn(t, t.TempDir(), blob)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if result.DiffID != digestOf(data) || result.Entries != 6 || result.Bytes != 3 {
			t.Errorf("%s: %+v", name, result)
		}
		for path, want := range map[string]string{
			"etc": "41750 5:6 1000000000", "etc/conf": "104755 7:8 1000000000", "etc/hard": "104755 7:8 1000000000",
			"dev/null": "20666 0:0 1000000000", "fifo": "10600 0:0 1000000000",
		} {
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(root, path), &st); err != nil {
				t.Errorf("%s: %s: %v", name, path, err)
				continue
			}
			if got := fmt.Sprintf("%o %d:%d %d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec); got != want {
				t.Errorf("%s: %s is %s, want %s", name, path, got, want)
			}
		}
		if to, err := os.Readlink(filepath.Join(root, "etc/abs")); err != nil || to != "/etc/conf" {
			t.Errorf("%s: symlink to %q, %v", name, to, err)
		}
		list := make([]byte, 256)
		n, err := unix.Listxattr(filepath.Join(root, "etc/conf"), list)
		if err != nil || string(list[:n]) != "user.note\x00" {
			t.Errorf("%s: attributes %q, %v", name, list[:max(n, 0)], err)
		}
	}
}

func TestUnpackDeletions(t *testing.T) {
	base := t.TempDir()
	lower, _, err := unpackIn(t, base, archive(t,
		dir("a").with(func(h *tar.Header) { h.Mode = 0o1777 }), file("a/gone", "1"), file("a/kept", "2"), dir("b"), file("b/old", "3"),
		dir("usr"), dir("usr/lib"), link(tar.TypeSymlink, "lib", "usr/lib"),
	))
	if err != nil {
		t.Fatal(err)
	}
	upper, _, err := unpackIn(t, base, archive(t,
		file("a/.wh.gone", ""), file("a/new", "4"), file("b/.wh..wh..opq", ""), file("b/new", "5"), file("lib/so", "6"),
	), lower)
	if err != nil {
		t.Fatal(err)
	}
	merged := filepath.Join(base, "merged")
	if err := os.Mkdir(merged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+upper+":"+lower); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(merged, unix.MNT_DETACH)
	var got []string
	err = filepath.WalkDir(merged, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			got = append(got, strings.TrimPrefix(path, merged+"/"))
		}
		return err
	})
	if want := "a/kept a/new b/new lib usr/lib/so"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("the merged tree is %q, want %q (%v)", strings.Join(got, " "), want, err)
	}
	if info, err := os.Stat(filepath.Join(merged, "a")); err != nil || info.Mode()&os.ModeSticky == 0 {
		t.Errorf("a directory that the upper layer does not mention lost its mode: %v, %v", info.Mode(), err)
	}
}

// TestHostileLayers tries to reach what is outside of the layer's directory, or to say what only overlayfs may.
func TestHostileLayers(t *testing.T) {
	xattr := func(name string) entry {
		return file("f", "").with(func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr." + name: "y"} })
	}
	for _, c := range []struct {
		name    string
		entries []entry
		refused bool // else it must unpack, inside
	}{
		{"dots", []entry{file("../../secret", "mine")}, true},
		{"dots within", []entry{dir("a"), file("a/../../secret", "mine")}, true},
		{"absolute name", []entry{file("/secret", "mine")}, false},
		{"through an absolute link", []entry{link(tar.TypeSymlink, "out", "OUTSIDE"), file("out/secret", "mine")}, false},
		{"through a relative link", []entry{link(tar.TypeSymlink, "out", "../.."), file("out/secret", "mine")}, false},
		{"over a link", []entry{link(tar.TypeSymlink, "f", "OUTSIDE/secret"), file("f", "mine")}, false},
		{"attributes through a link", []entry{link(tar.TypeSymlink, "f", "OUTSIDE/secret").with(func(h *tar.Header) { h.Uid = 99 })}, false},
		{"link loop", []entry{link(tar.TypeSymlink, "a", "b"), link(tar.TypeSymlink, "b", "a"), file("a/f", "x")}, true},
		{"hard link outside", []entry{link(tar.TypeLink, "f", "OUTSIDE/secret")}, true},
		{"hard link with dots", []entry{link(tar.TypeLink, "f", "../secret")}, true},
		{"hard link through a link", []entry{link(tar.TypeSymlink, "out", "OUTSIDE"), link(tar.TypeLink, "f", "out/secret")}, true},
		{"deletion of dots", []entry{file("a/.wh...", "")}, true},
		{"deletion of nothing", []entry{file(".wh.", "")}, true},
		{"a file as directory", []entry{file("f", "x"), file("f/g", "y")}, true},
		{"root as file", []entry{file("./", "x").with(func(h *tar.Header) { h.Typeflag = tar.TypeSymlink; h.Linkname = "x"; h.Size = 0 })}, true},
		{"overlay redirect", []entry{xattr("trusted.overlay.redirect")}, false},
		{"overlay opaque", []entry{xattr("trusted.overlay.opaque")}, false},
		{"user overlay", []entry{xattr("user.overlay.redirect")}, false},
		{"device 0:0", []entry{{Header: tar.Header{Typeflag: tar.TypeChar, Name: "f"}}}, true},
		{"device beyond", []entry{{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "f", Devmajor: 1 << 20}}}, true},
	} {
		outside := t.TempDir()
		secret := filepath.Join(outside, "secret")
		if err := os.WriteFile(secret, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		for i := range c.entries {
			c.entries[i].Linkname = strings.ReplaceAll(c.entries[i].Linkname, "OUTSIDE", outside)
			if c.entries[i].Typeflag == tar.TypeSymlink {
				c.entries[i].content, c.entries[i].Size = "", 0
			}
		}
		_, _, err := unpackIn(t, outside, archive(t, c.entries...))
		if refused := err != nil; refused != c.refused {
			t.Errorf("%s: got %v, want refused %v", c.name, err, c.refused)
		}
		if data, err := os.ReadFile(secret); err != nil || string(data) != "theirs" {
			t.Errorf("%s: the file outside is %q now (%v)", c.name, data, err)
		}
		var st unix.Stat_t
		if err := unix.Lstat(secret, &st); err != nil || st.Uid != 0 || st.Nlink != 1 {
			t.Errorf("%s: the file outside has owner %d and %d links (%v)", c.name, st.Uid, st.Nlink, err)
		}
	}
}

// TestHoles unpacks files of zeros, which must take no place, and files with zeros in between, which must keep them.
func TestHoles(t *testing.T) {
	const size = 8 << 20
	mixed := strings.Repeat("\x00", 200<<10) + "x" + strings.Repeat("\x00", 300<<10) + strings.Repeat("y", 70<<10) + strings.Repeat("\x00", 1<<20)
	root, result, err := unpackIn(t, t.TempDir(), archive(t, file("zeros", strings.Repeat("\x00", size)), file("mixed", mixed), file("small", "\x00")))
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(root, "zeros"), &st); err != nil || st.Size != size || st.Blocks > 1024 {
		t.Errorf("zeros: %d bytes in %d blocks, %v", st.Size, st.Blocks, err)
	}
	if data, err := os.ReadFile(filepath.Join(root, "mixed")); err != nil || string(data) != mixed {
		t.Errorf("mixed: %d bytes, %v", len(data), err)
	}
	if result.Bytes != size+int64(len(mixed))+1 || result.Disk >= size {
		t.Errorf("result %+v", result)
	}
}

// TestBombs unpacks what would grow beyond all bounds.
func TestBombs(t *testing.T) {
	var bomb bytes.Buffer
	z, err := zstd.NewWriter(&bomb, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	const size = 3 << 30
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bomb", Size: size, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeroReader{}, size); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat("d/", 600)
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"zstd":      {bomb.Bytes(), "times its size"},
		"depth":     {archive(t, file(deep+"f", "x")), "directories"},
		"long name": {archive(t, file(strings.Repeat("n/", 2100)+"f", "x")), "refused"},
	} {
		_, _, err := unpackIn(t, t.TempDir(), c.data)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// FuzzUnpack unpacks mangled tars in the cell: whatever they say, what is outside stays.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, dir("a"), file("a/b", "x"), link(tar.TypeSymlink, "l", "../.."), link(tar.TypeLink, "h", "a/b"), file("l/x", "y"), file("a/.wh.b", "")))
	f.Add(archive(f, file("x", "").with(func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "b", "mtime": "1.5"} })))
	f.Fuzz(func(t *testing.T, data []byte) {
		outside := t.TempDir()
		secret := filepath.Join(outside, "secret")
		if err := os.WriteFile(secret, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		target, _, _ := unpackIn(t, outside, data) // most are refused
		entries, err := os.ReadDir(outside)
		if err != nil || len(entries) != 2 {
			t.Errorf("besides %s there is %v (%v)", target, entries, err)
		}
		if got, err := os.ReadFile(secret); err != nil || string(got) != "theirs" {
			t.Errorf("the file outside is %q (%v)", got, err)
		}
	})
}
