package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

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

// Load adds the images of the archive r, which is a tar stream in OCI layout or as docker save writes it, plain, gzip or zstd, and returns them. A
// name that another image had moves over. The error is ErrArchive when the archive is at fault; then, as after a crash, nothing of it is in the index.
func (s *Store) Load(ctx context.Context, r io.Reader) ([]*Image, error) {
	work, err := s.newLease()
	if err != nil {
		return nil, err
	}
	defer work.release()
	plain, err := layer.Open(ending{ctx, r}, layer.DefaultLimits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	st, err := stage(ctx, plain, work.dir, s.limits)
	plain.Close()
	if err != nil {
		return nil, err
	}
	archived, err := st.images()
	if err != nil {
		return nil, err
	}
	s.crash("archive staged")
	var loaded []*Image
	for i := range archived {
		img, err := s.add(ctx, &archived[i], work)
		if err != nil {
			return nil, err
		}
		loaded = append(loaded, img)
	}
	return s.record(loaded)
}

// add brings an image's content to its place.
func (s *Store) add(ctx context.Context, f *found, work *lease) (*Image, error) {
	img := &Image{
		ID: f.config.digest, Manifests: []string{f.digest}, Names: f.names, Size: f.config.size,
		LoadedAt: s.clock.Now().UnixNano(), Layers: chainLayers(f.manifest, f.spec), User: f.spec.Config.User,
	}
	for _, n := range f.names {
		repo, err := repository(n)
		if err != nil {
			return nil, err
		}
		if rd := repo + "@" + f.digest; !slices.Contains(img.RepoDigests, rd) {
			img.RepoDigests = append(img.RepoDigests, rd)
		}
	}
	content := []string{f.digest, f.config.digest}
	for _, l := range img.Layers {
		content = append(content, l.Digest, l.Chain)
		img.Size += l.Size
	}
	if err := work.claim(content...); err != nil {
		return nil, err
	}
	for _, blob := range append(slices.Clone(f.layers), f.config) {
		if err := s.keepBlob(blob); err != nil {
			return nil, err
		}
	}
	if err := s.unpackLayers(ctx, img.Layers, s.blobOnDisk(img.Layers), nil); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", ErrArchive, err)
		}
		return nil, err
	}
	return img, s.putBlob(work, f.digest, f.data)
}

// blobOnDisk gives layers whose blobs are in their place.
func (s *Store) blobOnDisk(layers []Layer) func(context.Context, int) blobSource {
	return func(_ context.Context, i int) blobSource {
		return blobSource{
			open:   func(context.Context) (io.ReadCloser, error) { return os.Open(s.blobPath(layers[i].Digest)) },
			settle: func(context.Context) (bool, error) { return false, nil },
			close:  func() {},
		}
	}
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
	if s.hasBlob(f.digest, f.size) {
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
	s.crash("blob synced")
	if err := os.Link(f.path, s.blobPath(f.digest)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
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
	c.Pinned = i.Pinned || old.Pinned
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
