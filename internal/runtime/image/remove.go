package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

// Collect removes all content that neither the index nor a pin needs, and what crashed loads left. It waits for loads under way.
func (s *Store) Collect() error {
	unlock, err := s.lock("gc.lock", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	images, err := s.images()
	if err != nil {
		return err
	}
	blobs, layers := map[string]bool{}, map[string]bool{}
	for _, i := range images {
		blobs[i.ID] = true
		for _, m := range i.Manifests {
			blobs[m] = true
			s.addManifestBlobs(blobs, m)
		}
		for _, l := range i.Layers {
			blobs[l.Digest], layers[l.Chain] = true, true
		}
	}
	if err := s.addPinned(layers); err != nil {
		return err
	}
	return errors.Join(
		sweep(filepath.Join(s.root, "blobs", "sha256"), blobs),
		sweep(filepath.Join(s.root, "layers"), layers),
		sweep(filepath.Join(s.root, "tmp"), nil),
	)
}

// addManifestBlobs marks the layers of one manifest: an image known by several has its layers in several compressions. A manifest
// that cannot be read keeps nothing more; the layers of the index are kept anyway.
func (s *Store) addManifestBlobs(blobs map[string]bool, manifest string) {
	data, err := os.ReadFile(s.blobPath(manifest))
	if err != nil {
		return
	}
	m, err := v1.ParseManifest(bytes.NewReader(data))
	if err != nil {
		return
	}
	for _, l := range m.Layers {
		blobs[l.Digest.String()] = true
	}
}

func (s *Store) addPinned(layers map[string]bool) error {
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
			layers[strings.TrimSpace(chain)] = true
		}
	}
	return nil
}

// sweep removes the entries of dir whose digest is not in keep.
func sweep(dir string, keep map[string]bool) error {
	names, err := dirNames(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		if !keep["sha256:"+n] {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, n)))
		}
	}
	return errors.Join(errs...)
}
