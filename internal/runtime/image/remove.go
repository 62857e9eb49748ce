package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// Remove removes the image that ref means, with all its names, and the content that nothing needs any more. An absent one is ErrNotFound.
// Layers that a pin holds stay until the removal after their Unpin.
func (s *Store) Remove(ref string) error {
	match, err := matcher(ref)
	if err != nil {
		return err
	}
	err = s.change(func(images []*Image) ([]*Image, error) {
		i := slices.IndexFunc(images, match)
		if i < 0 {
			return nil, fmt.Errorf("image %q: %w", ref, ErrNotFound)
		}
		return slices.Delete(images, i, i+1), nil
	})
	if err != nil {
		return err
	}
	return s.Collect()
}

// Collect removes all content that neither the index, nor a pin, nor work under way needs, and what killed processes left. Blobs that arrived in
// part stay for a while, so that who comes back goes on with them.
func (s *Store) Collect() error { return s.collect(partialLife) }

// Prune is Collect with blobs that arrived in part.
func (s *Store) Prune() error { return s.collect(0) }

// partialLife is how long a blob that arrived in part is kept after its last byte.
const partialLife = 24 * time.Hour

func (s *Store) collect(life time.Duration) error {
	unlock, err := s.lock("gc.lock", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	keep := map[string]bool{}
	// Leases before the index: work that ends meanwhile records its image first, and gives up its lease then.
	if err := s.leased(keep); err != nil {
		return err
	}
	images, err := s.images()
	if err != nil {
		return err
	}
	for _, i := range images {
		keep[i.ID] = true
		for _, m := range i.Manifests {
			keep[m] = true
			s.addManifestBlobs(keep, m)
		}
		for _, l := range i.Layers {
			keep[l.Digest], keep[l.Chain] = true, true
		}
	}
	if err := s.addPinned(keep); err != nil {
		return err
	}
	return errors.Join(
		s.sweep(filepath.Join(s.root, "blobs", "sha256"), keep),
		s.sweep(filepath.Join(s.root, "layers"), keep),
		s.sweepPartial(life),
	)
}

// sweepPartial removes blobs that arrived in part, that nobody writes, and that nothing was added to for some time.
func (s *Store) sweepPartial(life time.Duration) error {
	dir := filepath.Join(s.root, "partial")
	names, err := dirNames(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, s.removePartial(filepath.Join(dir, name), life))
	}
	return errors.Join(errs...)
}

func (s *Store) removePartial(path string, life time.Duration) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || s.clock.Since(info.ModTime()) < life {
		return err
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !sameFile(f, path) {
		return nil // it is being written, or has arrived
	}
	return os.Remove(path)
}

// addManifestBlobs marks the layers of one manifest: an image known by several has its layers in several compressions. A manifest
// that cannot be read keeps nothing more; the layers of the index are kept anyway.
func (s *Store) addManifestBlobs(keep map[string]bool, manifest string) {
	data, err := os.ReadFile(s.blobPath(manifest))
	if err != nil {
		return
	}
	m, err := v1.ParseManifest(bytes.NewReader(data))
	if err != nil {
		return
	}
	for _, l := range m.Layers {
		keep[l.Digest.String()] = true
	}
}

func (s *Store) addPinned(keep map[string]bool) error {
	owners, err := s.Pins()
	if err != nil {
		return err
	}
	for _, o := range owners {
		data, err := os.ReadFile(filepath.Join(s.root, "pins", o))
		if errors.Is(err, os.ErrNotExist) {
			continue // unpinned at this moment
		}
		if err != nil {
			return err
		}
		for chain := range strings.Lines(string(data)) {
			keep[strings.TrimSpace(chain)] = true
		}
	}
	return nil
}

// sweep removes the entries of dir whose digest is not in keep. They are moved away first: what is found under its name is whole.
func (s *Store) sweep(dir string, keep map[string]bool) error {
	names, err := dirNames(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		if keep["sha256:"+n] {
			continue
		}
		dead := filepath.Join(s.root, "tmp", "dead-"+n)
		s.crash("before removal")
		if err := os.Rename(filepath.Join(dir, n), dead); err != nil {
			errs = append(errs, err)
			continue
		}
		s.sizes.Delete(n)
		s.crash("moved away")
		errs = append(errs, os.RemoveAll(dead))
	}
	return errors.Join(errs...)
}
