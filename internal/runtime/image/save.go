package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Format is a form of archive.
type Format string

// The forms that Save writes. Load, docker load, ctr, skopeo and podman read both.
const (
	FormatOCI    Format = "oci"    // an OCI image layout in a tar
	FormatDocker Format = "docker" // what docker save writes
)

// saving is an image on its way out.
type saving struct {
	image    *Image
	names    []string
	manifest *v1.Manifest
	desc     v1.Descriptor // of manifest
}

// Save writes the images that refs mean into an archive, their blobs as they came, in an order that depends on nothing else. An image that is asked
// for by name has that name in the archive, others have none. The error is ErrNotFound when one is not here; then nothing has been written.
func (s *Store) Save(ctx context.Context, w io.Writer, format Format, refs ...string) error {
	work, err := s.newLease()
	if err != nil {
		return err
	}
	defer work.release()
	var all []saving
	for _, ref := range refs {
		sv, err := s.prepare(work, ref)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(all, func(o saving) bool { return o.image.ID == sv.image.ID }); i >= 0 {
			all[i].names = append(all[i].names, sv.names...)
			continue
		}
		all = append(all, sv)
	}
	documents, err := archiveDocuments(format, all)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	for _, d := range documents {
		if err := addToTar(archive, d); err != nil {
			return err
		}
	}
	written := map[string]bool{}
	for _, sv := range all {
		for _, d := range sv.blobs(format) {
			if written[d.Digest.String()] {
				continue
			}
			written[d.Digest.String()] = true
			if err := s.addBlob(ctx, archive, d); err != nil {
				return fmt.Errorf("save image %s: %w", sv.image.ID, err)
			}
		}
	}
	return archive.Close()
}

// prepare finds an image and keeps its content until the lease ends.
func (s *Store) prepare(work *lease, ref string) (saving, error) {
	img, err := s.Resolve(ref)
	if err != nil {
		return saving{}, err
	}
	sv := saving{image: img}
	if _, bare := asDigest(ref); !bare {
		named, err := parseName(ref)
		if err != nil {
			return saving{}, err
		}
		if _, tagged := named.(reference.Tagged); tagged {
			sv.names = []string{named.String()}
		}
	}
	if sv.manifest, sv.desc, err = s.manifestOf(img); err != nil {
		return saving{}, err
	}
	var content []string
	for _, d := range sv.blobs(FormatOCI) {
		content = append(content, d.Digest.String())
	}
	if err := work.claim(content...); err != nil {
		return saving{}, err
	}
	_, err = s.Resolve(img.ID) // it may have been removed before the claim
	return sv, err
}

// manifestOf reads the manifest of an image: of the documents it is known by, the one that is no index and whose layers are here.
func (s *Store) manifestOf(img *Image) (*v1.Manifest, v1.Descriptor, error) {
	for _, digest := range img.Manifests {
		data, err := os.ReadFile(s.blobPath(digest))
		if err != nil {
			continue
		}
		m, err := parseManifest(data, s.limits)
		if err != nil || m.Config.Digest.String() != img.ID {
			continue
		}
		whole := !slices.ContainsFunc(m.Layers, func(d v1.Descriptor) bool { return !s.hasBlob(d.Digest.String(), d.Size) })
		if !whole {
			continue
		}
		hash, err := v1.NewHash(digest)
		t := m.MediaType
		if t == "" {
			t = types.OCIManifestSchema1
		}
		return m, v1.Descriptor{MediaType: t, Size: int64(len(data)), Digest: hash}, err
	}
	return nil, v1.Descriptor{}, fmt.Errorf("image %s: no manifest whose layers are all here: %w", img.ID, ErrNotFound)
}

// blobs are what an archive needs of the image.
func (sv *saving) blobs(format Format) []v1.Descriptor {
	all := append([]v1.Descriptor{sv.manifest.Config}, sv.manifest.Layers...)
	if format == FormatOCI {
		all = append(all, sv.desc)
	}
	return all
}

// archiveDocuments are the files of an archive that say what is in it.
func archiveDocuments(format Format, all []saving) ([]tarFile, error) {
	switch format {
	case FormatOCI:
		return layoutDocuments(all)
	case FormatDocker:
		return dockerDocuments(all)
	}
	return nil, fmt.Errorf("format %q of an archive is neither %s nor %s", format, FormatOCI, FormatDocker)
}

func layoutDocuments(all []saving) ([]tarFile, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for _, sv := range all {
		d := sv.desc
		d.Platform = &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
		if len(sv.names) == 0 {
			index.Manifests = append(index.Manifests, d)
		}
		for _, name := range sv.names {
			d.Annotations = map[string]string{nameAnnotations[0]: name, nameAnnotations[1]: name[strings.LastIndex(name, ":")+1:]}
			index.Manifests = append(index.Manifests, d)
		}
	}
	data, err := json.Marshal(index)
	return []tarFile{{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", 0o644, data}}, err
}

func dockerDocuments(all []saving) ([]tarFile, error) {
	images := make([]dockerImage, len(all))
	for i, sv := range all {
		images[i] = dockerImage{Config: blobFile(sv.manifest.Config.Digest), RepoTags: sv.names}
		for _, l := range sv.manifest.Layers {
			images[i].Layers = append(images[i].Layers, blobFile(l.Digest))
		}
	}
	data, err := json.Marshal(images)
	return []tarFile{{"manifest.json", 0o644, data}}, err
}

func blobFile(h v1.Hash) string { return "blobs/sha256/" + h.Hex }

// addBlob copies a blob into the archive.
func (s *Store) addBlob(ctx context.Context, archive *tar.Writer, d v1.Descriptor) error {
	f, err := os.Open(s.blobPath(d.Digest.String()))
	if err != nil {
		return err
	}
	defer f.Close()
	return copyToTar(archive, tarFile{name: blobFile(d.Digest), mode: 0o644}, d.Size, ending{ctx, f})
}

// addToTar writes a small file into an archive.
func addToTar(archive *tar.Writer, f tarFile) error {
	return copyToTar(archive, f, int64(len(f.data)), bytes.NewReader(f.data))
}

// copyToTar writes a file of a size into an archive. Everything has the same time, so that equal content makes equal archives.
func copyToTar(archive *tar.Writer, f tarFile, size int64, content io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: size, ModTime: selfTime, Format: tar.FormatPAX}
	if f.name[len(f.name)-1] == '/' {
		h.Typeflag = tar.TypeDir
	}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}
