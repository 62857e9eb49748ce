package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// found is one image of an archive, with its files still staged.
type found struct {
	names    []string // complete
	manifest *v1.Manifest
	data     []byte // manifest's, as it came
	digest   string // of data
	config   stagedFile
	spec     *v1.ConfigFile
	layers   []stagedFile // lowest first, as many as spec has diff IDs
}

// images finds the images in a staged archive: by its OCI layout, which new docker save writes too, or else by manifest.json.
func (st *staged) images() ([]found, error) {
	var all []found
	var err error
	docker, hasDocker := st.find("manifest.json")
	if idx, ok := st.find("index.json"); ok {
		all, err = st.layout(idx)
	} else if hasDocker {
		all, err = st.dockerSave(docker)
	} else {
		return nil, fmt.Errorf("%w: it has neither index.json nor manifest.json", ErrArchive)
	}
	if err != nil {
		return nil, err
	}
	if hasDocker {
		err = st.addDockerNames(all, docker)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no image for linux/%s in it", ErrArchive, runtime.GOARCH)
	}
	return all, err
}

// nameAnnotations are where tools write an image's name in an OCI index, the complete ones first.
var nameAnnotations = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

func (st *staged) layout(idx stagedFile) ([]found, error) {
	data, err := st.document(idx)
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseIndexManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: index.json: %w", ErrArchive, err)
	}
	var all []found
	for _, d := range bestOf(manifest.Manifests) {
		if len(all) == st.limits.Images {
			return nil, fmt.Errorf("%w: more than %d images", ErrArchive, st.limits.Images)
		}
		f, err := st.described(d, 0)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		if n := annotatedName(d.Annotations); n != "" {
			f.names = append(f.names, n)
		}
		all = append(all, *f)
	}
	return all, nil
}

// annotatedName is the complete name that an index entry carries, or "". A bare tag ("latest") names nothing.
func annotatedName(annotations map[string]string) string {
	for _, key := range nameAnnotations {
		if v := annotations[key]; strings.ContainsAny(v, "/:") {
			if n, err := Normalize(v); err == nil {
				return n
			}
		}
	}
	return ""
}

// maxIndexDepth is how deep indexes may refer to indexes; tools write one.
const maxIndexDepth = 3

// described returns the image that a descriptor means on this machine, nil when there is none.
func (st *staged) described(d v1.Descriptor, depth int) (*found, error) {
	f, err := st.blob(d.Digest.String(), d.Size)
	if err != nil {
		return nil, err
	}
	data, err := st.document(f)
	if err != nil {
		return nil, err
	}
	switch {
	case d.MediaType.IsImage():
		return st.image(data, f.digest)
	case !d.MediaType.IsIndex():
		return nil, fmt.Errorf("%w: %s has media type %q, which is neither image nor index", ErrArchive, d.Digest, d.MediaType)
	case depth == maxIndexDepth:
		return nil, fmt.Errorf("%w: indexes nest deeper than %d", ErrArchive, maxIndexDepth)
	}
	idx, err := v1.ParseIndexManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: index %s: %w", ErrArchive, d.Digest, err)
	}
	for _, d := range suited(idx.Manifests) {
		found, err := st.described(d, depth+1)
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

// bestOf lists the entries of an archive's index that this machine runs: each is an image, but where some are for its own platform, those for
// others that it also runs are not.
func bestOf(entries []v1.Descriptor) []v1.Descriptor {
	fit := suited(entries)
	own := slices.ContainsFunc(fit, func(d v1.Descriptor) bool {
		return d.Platform != nil && fitness(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant) == 0
	})
	return slices.DeleteFunc(fit, func(d v1.Descriptor) bool {
		return own && d.Platform != nil && fitness(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant) > 0
	})
}

// image reads an OCI or Docker manifest and finds its parts.
func (st *staged) image(manifest []byte, digest string) (*found, error) {
	m, err := parseManifest(manifest, st.limits)
	if err != nil {
		return nil, fmt.Errorf("%w: image %s: %w", ErrArchive, digest, err)
	}
	f := &found{manifest: m, data: manifest, digest: digest}
	if f.config, err = st.blob(m.Config.Digest.String(), m.Config.Size); err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		blob, err := st.blob(l.Digest.String(), l.Size)
		if err != nil {
			return nil, err
		}
		f.layers = append(f.layers, blob)
	}
	return f, st.readConfig(f)
}

// readConfig reads and checks the configuration of f.
func (st *staged) readConfig(f *found) error {
	data, err := st.document(f.config)
	if err != nil {
		return err
	}
	if f.spec, err = parseConfig(data, len(f.layers)); err != nil {
		return fmt.Errorf("%w: image %s: %w", ErrArchive, f.config.digest, err)
	}
	return nil
}

// dockerImage is an entry of manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (st *staged) dockerImages(file stagedFile) ([]dockerImage, error) {
	data, err := st.document(file)
	if err != nil {
		return nil, err
	}
	var images []dockerImage
	if err := json.Unmarshal(data, &images); err != nil {
		return nil, fmt.Errorf("%w: manifest.json: %w", ErrArchive, err)
	}
	if len(images) > st.limits.Images {
		return nil, fmt.Errorf("%w: more than %d images", ErrArchive, st.limits.Images)
	}
	return images, nil
}

// dockerSave finds images by manifest.json alone. It has no manifests in the registry's sense, so one is made.
func (st *staged) dockerSave(file stagedFile) ([]found, error) {
	images, err := st.dockerImages(file)
	if err != nil {
		return nil, err
	}
	var all []found
	for _, i := range images {
		var f found
		var ok bool
		if f.config, ok = st.find(i.Config); !ok {
			return nil, fmt.Errorf("%w: configuration %s is missing", ErrArchive, i.Config)
		}
		if len(i.Layers) > st.limits.Layers {
			return nil, fmt.Errorf("%w: image %s has %d layers, at most %d are allowed", ErrArchive, i.Config, len(i.Layers), st.limits.Layers)
		}
		for _, l := range i.Layers {
			blob, ok := st.find(l)
			if !ok {
				return nil, fmt.Errorf("%w: layer %s is missing", ErrArchive, l)
			}
			f.layers = append(f.layers, blob)
		}
		if err := st.readConfig(&f); err != nil {
			return nil, err
		}
		if err := f.makeManifest(); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (f *found) makeManifest() error {
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.DockerManifestSchema2}
	var err error
	if m.Config, err = descriptor(types.DockerConfigJSON, f.config); err != nil {
		return err
	}
	for _, l := range f.layers {
		d, err := descriptor(types.DockerUncompressedLayer, l)
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, d)
	}
	if f.data, err = json.Marshal(m); err != nil {
		return err
	}
	f.manifest, f.digest = &m, digestOf(f.data)
	return nil
}

func descriptor(t types.MediaType, f stagedFile) (v1.Descriptor, error) {
	h, err := v1.NewHash(f.digest)
	return v1.Descriptor{MediaType: t, Size: f.size, Digest: h}, err
}

// addDockerNames gives images the tags that manifest.json has for them.
func (st *staged) addDockerNames(all []found, file stagedFile) error {
	images, err := st.dockerImages(file)
	if err != nil {
		return err
	}
	for _, i := range images {
		config, ok := st.find(i.Config)
		at := slices.IndexFunc(all, func(f found) bool { return ok && f.config.digest == config.digest })
		if at < 0 {
			continue // an image of another platform
		}
		for _, tag := range i.RepoTags {
			n, err := Normalize(tag)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrArchive, err)
			}
			if !slices.Contains(all[at].names, n) {
				all[at].names = append(all[at].names, n)
			}
		}
	}
	return nil
}
