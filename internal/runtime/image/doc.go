// Package image keeps container images on disk: content by digest, layers unpacked once, names that point at them.
//
// # Story
//
// Load reads an archive (what docker save writes, or an OCI layout in a tar) in one pass: every file goes to a temporary one while its digest
// is computed; then the archive's own index says which of them make images. Manifests, configurations and layers move to their place
// under their digest, each layer is unpacked on top of the ones below it by a confined child process, and at last the index gets the
// image and its names. Whoever creates a container pins the image's layers under the container's ID and stacks them with overlayfs.
//
// # Vocabulary
//
//   - ID: the digest of the image's configuration, what CRI calls the image's ID.
//   - manifest digest: what registries and name@sha256:… mean. One image may be known by several.
//   - diff ID: the digest of a layer's uncompressed tar stream. chain ID: the digest that stands for a layer and all below it, as the OCI
//     image specification computes it.
//   - name: always complete, as docker.io/library/nginx:latest.
//
// # On disk, below one root directory
//
//	index.json             the images; replaced as a whole, synced
//	index.lock             flock, exclusive: who changes index.json
//	gc.lock                flock, shared: who adds or pins content; exclusive: who removes it
//	blobs/sha256/HEX       manifests, configurations, layers as they came
//	layers/HEX/fs/         a chain's uppermost layer, as overlayfs takes it (HEX of the chain ID)
//	layers/HEX/layer.json  its size
//	pins/OWNER             chain IDs that must stay, one per line
//	tmp/                   work of a Load under way; what a crash left goes with the next removal
//
// # Laws
//
//   - A name in the index means: everything it needs is on disk, verified and synced. Files appear under their final names by rename only.
//   - The digest of everything is checked against what refers to it, diff IDs included.
//   - Several processes may work on one root: the server, and `floe images` beside it. index.json is read again when it changed.
//   - What an archive can make this package hold is limited (Limits); what a layer can make the disk hold is package layer's.
//
// # Locks
//
// gc.lock before index.lock before Store.mu. Waiting for a flock does not heed a context: its holders never wait for anything else but the disk.
//
// # Left to others
//
// Unpacking (package layer, in the process that Unpacker starts), registries, and when to remove anything.
package image
