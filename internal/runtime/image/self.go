package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// SelfName is the name of the image that BuildSelf makes.
const SelfName = "floe.dev/self:v1"

// selfTime is the time of everything in archives that are made here.
var selfTime = time.Unix(0, 0).UTC()

// BuildSelf writes an archive (OCI layout and docker save in one) of a small image without base: the static program at toolPath as
// /floe-tool, its entrypoint, and just enough of /etc to have users. Equal programs give equal archives.
func BuildSelf(w io.Writer, toolPath string) error {
	tool, err := os.ReadFile(toolPath)
	if err != nil {
		return fmt.Errorf("self-made image: %w", err)
	}
	layer, err := selfLayer(tool)
	if err != nil {
		return fmt.Errorf("self-made image: %w", err)
	}
	files, err := selfArchive(layer)
	if err != nil {
		return fmt.Errorf("self-made image: %w", err)
	}
	return writeTar(w, files)
}

type tarFile struct {
	name string
	mode int64 // with tar's directory bit left out: names that end in / are directories
	data []byte
}

func selfLayer(tool []byte) ([]byte, error) {
	var b bytes.Buffer
	err := writeTar(&b, []tarFile{
		{"floe-tool", 0o755, tool},
		{"etc/", 0o755, nil},
		{"etc/passwd", 0o644, []byte("root:x:0:0:root:/:/floe-tool\nnobody:x:65534:65534:nobody:/:/floe-tool\n")},
		{"etc/group", 0o644, []byte("root:x:0:\nnobody:x:65534:\n")},
		{"tmp/", 0o1777, nil},
	})
	return b.Bytes(), err
}

// selfArchive lists the files of the archive: every blob, and the two kinds of index.
func selfArchive(layer []byte) ([]tarFile, error) {
	layerDigest, layerHash := blobName(layer)
	config, err := json.Marshal(v1.ConfigFile{
		Architecture: runtime.GOARCH, OS: "linux", Created: v1.Time{Time: selfTime},
		Config: v1.Config{Entrypoint: []string{"/floe-tool"}, Env: []string{"PATH=/"}, WorkingDir: "/"},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{layerHash}},
	})
	if err != nil {
		return nil, err
	}
	configName, configHash := blobName(config)
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(config)), Digest: configHash},
		Layers: []v1.Descriptor{{MediaType: types.OCIUncompressedLayer, Size: int64(len(layer)), Digest: layerHash}},
	})
	if err != nil {
		return nil, err
	}
	manifestName, manifestHash := blobName(manifest)
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Size: int64(len(manifest)), Digest: manifestHash,
			Annotations: map[string]string{nameAnnotations[0]: SelfName, nameAnnotations[1]: "v1"},
		}},
	})
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal([]dockerImage{{Config: configName, RepoTags: []string{SelfName}, Layers: []string{layerDigest}}})
	if err != nil {
		return nil, err
	}
	return []tarFile{
		{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", 0o644, index},
		{"manifest.json", 0o644, docker},
		{manifestName, 0o644, manifest},
		{configName, 0o644, config},
		{layerDigest, 0o644, layer},
	}, nil
}

// blobName returns the path and the digest of a blob in an OCI layout.
func blobName(data []byte) (string, v1.Hash) {
	digits := digestOf(data)[len("sha256:"):]
	return "blobs/sha256/" + digits, v1.Hash{Algorithm: "sha256", Hex: digits}
}

func writeTar(w io.Writer, files []tarFile) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		if err := addToTar(archive, f); err != nil {
			return err
		}
	}
	return archive.Close()
}
