package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/layer"
)

// LoadFile loads the archive in the file at path; see Load.
func (s *Store) LoadFile(ctx context.Context, path string) ([]*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	images, err := s.Load(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return images, nil
}

// Load adds the images of the archive r, which is a tar stream in OCI layout or as docker save writes it, and returns them. A name that
// another image had moves over. The error is ErrArchive when the archive is at fault; then, as after a crash, nothing of it is in the index.
func (s *Store) Load(ctx context.Context, r io.Reader) ([]*Image, error) {
	unlock, err := s.lock("gc.lock", unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(filepath.Join(s.root, "tmp"), "load-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	st, err := stage(ctx, r, dir, s.limits)
	if err != nil {
		return nil, err
	}
	archived, err := st.images()
	if err != nil {
		return nil, err
	}
	var loaded []*Image
	for i := range archived {
		img, err := s.add(ctx, &archived[i], dir)
		if err != nil {
			return nil, err
		}
		loaded = append(loaded, img)
	}
	return s.record(loaded)
}

// add brings an image's content to its place.
func (s *Store) add(ctx context.Context, f *found, dir string) (*Image, error) {
	img := &Image{ID: f.config.digest, Manifests: []string{f.digest}, Names: f.names, Size: f.config.size, LoadedAt: s.now().UnixNano()}
	for _, n := range f.names {
		repo, err := repository(n)
		if err != nil {
			return nil, err
		}
		if rd := repo + "@" + f.digest; !slices.Contains(img.RepoDigests, rd) {
			img.RepoDigests = append(img.RepoDigests, rd)
		}
	}
	chain := ""
	for i, blob := range f.layers {
		diffID := f.spec.RootFS.DiffIDs[i].String()
		if _, ok := asDigest(diffID); !ok {
			return nil, fmt.Errorf("%w: diff ID %q", ErrArchive, diffID)
		}
		l := Layer{Digest: blob.digest, DiffID: diffID, Chain: chainID(chain, diffID), Size: blob.size}
		if err := s.keepBlob(blob); err != nil {
			return nil, err
		}
		if err := s.unpackLayer(ctx, &l, s.layerDirs(img), dir); err != nil {
			return nil, err
		}
		img.Layers, img.Size, chain = append(img.Layers, l), img.Size+l.Size, l.Chain
	}
	if err := s.keepBlob(f.config); err != nil {
		return nil, err
	}
	return img, writeSynced(s.blobPath(f.digest), f.manifest)
}

// chainID is the OCI image specification's: the digest of the chain below and the diff ID, or the diff ID itself at the bottom.
func chainID(below, diffID string) string {
	if below == "" {
		return diffID
	}
	return digestOf([]byte(below + " " + diffID))
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// keepBlob links a staged file to its place; the staged one goes with its directory, and may be another image's too.
func (s *Store) keepBlob(f stagedFile) error {
	target := s.blobPath(f.digest)
	if _, err := os.Lstat(target); err == nil {
		return nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Link(f.path, target); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(target))
}

// unpackLayer makes sure that l.Chain is unpacked, and fills in what it unpacked to. Another process may do the same at the same time; the
// first one's result stays.
func (s *Store) unpackLayer(ctx context.Context, l *Layer, below []string, dir string) error {
	target := s.layerPath(l.Chain)
	if ok, err := readLayer(target, l); ok || err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "layer-")
	if err != nil {
		return err
	}
	result, err := s.runUnpacker(ctx, s.blobPath(l.Digest), filepath.Join(work, "fs"), below)
	if err != nil {
		return fmt.Errorf("layer %s: %w", l.Digest, err)
	}
	if result.DiffID != l.DiffID {
		return fmt.Errorf("%w: layer %s unpacks to diff ID %s instead of %s", ErrArchive, l.Digest, result.DiffID, l.DiffID)
	}
	data, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(work, "layer.json"), data); err != nil {
		return err
	}
	if err := syncAll(work); err != nil {
		return err
	}
	err = os.Rename(work, target)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		_, err = readLayer(target, l)
		return err
	}
	if err != nil {
		return err
	}
	l.Bytes, l.Entries = result.Bytes, result.Entries
	return syncDir(filepath.Dir(target))
}

func readLayer(target string, l *Layer) (bool, error) {
	data, err := os.ReadFile(filepath.Join(target, "layer.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var r layer.Result
	if err := json.Unmarshal(data, &r); err != nil {
		return false, fmt.Errorf("layer %s: %w", l.Chain, err)
	}
	l.Bytes, l.Entries = r.Bytes, r.Entries
	return true, nil
}

func (s *Store) runUnpacker(ctx context.Context, blob, target string, below []string) (layer.Result, error) {
	if err := os.Mkdir(target, 0o755); err != nil {
		return layer.Result{}, err
	}
	files := make([]*os.File, 0, len(below)+2)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, path := range append([]string{blob, target}, below...) {
		f, err := os.Open(path)
		if err != nil {
			return layer.Result{}, err
		}
		files = append(files, f)
	}
	return s.unpack(ctx, files[0], files[1], files[2:])
}

// syncAll writes everything on the file system of dir to disk: thousands of files at once, instead of one by one.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// record puts loaded images into the index, joined with what it has of the same IDs, and takes their names from others.
func (s *Store) record(loaded []*Image) ([]*Image, error) {
	var result []*Image
	err := s.change(func(images []*Image) ([]*Image, error) {
		result = nil
		for _, img := range loaded {
			for i, old := range images {
				images[i] = old.without(img.Names)
			}
			if i := slices.IndexFunc(images, func(o *Image) bool { return o.ID == img.ID }); i >= 0 {
				img = img.joined(images[i])
				images[i] = img
			} else {
				images = append(images, img)
			}
			result = append(result, img)
		}
		return images, nil
	})
	return result, err
}

// without is the image less some names.
func (i *Image) without(names []string) *Image {
	if !slices.ContainsFunc(i.Names, func(n string) bool { return slices.Contains(names, n) }) {
		return i
	}
	c := *i
	c.Names = slices.DeleteFunc(slices.Clone(i.Names), func(n string) bool { return slices.Contains(names, n) })
	return &c
}

// joined is the image with the names and digests that the index had for it too.
func (i *Image) joined(old *Image) *Image {
	c := *i
	for _, j := range []struct {
		to   *[]string
		from []string
	}{{&c.Names, old.Names}, {&c.RepoDigests, old.RepoDigests}, {&c.Manifests, old.Manifests}} {
		*j.to = slices.Clone(*j.to)
		for _, v := range j.from {
			if !slices.Contains(*j.to, v) {
				*j.to = append(*j.to, v)
			}
		}
	}
	return &c
}
