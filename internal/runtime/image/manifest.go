package image

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// ErrUnusable says that an image is understood, and that this machine or this program cannot use it.
var ErrUnusable = errors.New("not a usable image")

// layerTypes are the media types of layers that are unpacked; what is in them, their first bytes tell.
var layerTypes = []types.MediaType{
	types.OCILayer, types.OCIUncompressedLayer, types.OCILayerZStd,
	types.DockerLayer, types.DockerUncompressedLayer, "application/vnd.docker.image.rootfs.diff.tar.zstd",
}

// parseManifest reads a manifest and refuses what cannot be unpacked.
func parseManifest(data []byte, limits Limits) (*v1.Manifest, error) {
	m, err := v1.ParseManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrUnusable, err)
	}
	if len(m.Layers) > limits.Layers {
		return nil, fmt.Errorf("%w: it has %d layers, at most %d are allowed", ErrUnusable, len(m.Layers), limits.Layers)
	}
	if m.Config.Size > limits.Document {
		return nil, fmt.Errorf("%w: its configuration has %d bytes, at most %d are allowed", ErrUnusable, m.Config.Size, limits.Document)
	}
	total := int64(0)
	for _, d := range append(slices.Clone(m.Layers), m.Config) {
		if d.Digest.Algorithm != "sha256" || !isDigest(d.Digest.String()) {
			return nil, fmt.Errorf("%w: digest %q, only sha256 is supported", ErrUnusable, d.Digest)
		}
		if d.Size < 0 || d.Size > limits.Bytes-total {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrUnusable, limits.Bytes)
		}
		total += d.Size
	}
	for _, d := range m.Layers {
		if !slices.Contains(layerTypes, d.MediaType) {
			return nil, fmt.Errorf("%w: %w", ErrUnusable, layerRefusal(d.MediaType))
		}
	}
	return m, nil
}

func layerRefusal(t types.MediaType) error {
	if t == types.DockerForeignLayer || t == types.OCIRestrictedLayer || t == types.OCIUncompressedRestrictedLayer {
		return fmt.Errorf("it has a foreign layer (%s), which no registry may give away", t)
	}
	return fmt.Errorf("it has a layer of media type %q", t)
}

// parseConfig reads the configuration of an image with so many layers.
func parseConfig(data []byte, layers int) (*v1.ConfigFile, error) {
	c, err := v1.ParseConfigFile(bytes.NewReader(data))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: configuration: %w", ErrUnusable, err)
	case len(c.RootFS.DiffIDs) != layers:
		return nil, fmt.Errorf("%w: it has %d layers and %d diff IDs", ErrUnusable, layers, len(c.RootFS.DiffIDs))
	case layers == 0:
		return nil, fmt.Errorf("%w: it has no layers", ErrUnusable)
	case fitness(c.OS, c.Architecture, c.Variant) < 0:
		return nil, fmt.Errorf("%w: it is for %s/%s, this machine is linux/%s", ErrUnusable, c.OS, c.Architecture, runtime.GOARCH)
	}
	for _, id := range c.RootFS.DiffIDs {
		if !isDigest(id.String()) {
			return nil, fmt.Errorf("%w: diff ID %q", ErrUnusable, id)
		}
	}
	return c, nil
}

// chainLayers are the layers of a manifest with the chains that the configuration makes of them.
func chainLayers(m *v1.Manifest, c *v1.ConfigFile) []Layer {
	layers := make([]Layer, len(m.Layers))
	chain := ""
	for i, d := range m.Layers {
		id := c.RootFS.DiffIDs[i].String()
		chain = chainID(chain, id)
		layers[i] = Layer{Digest: d.Digest.String(), DiffID: id, Chain: chain, Size: d.Size}
	}
	return layers
}

func isDigest(s string) bool {
	d, ok := asDigest(s)
	return ok && d == s
}
