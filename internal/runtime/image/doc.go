// Package image keeps container images on disk: content by digest, layers unpacked once, names that point at them.
//
// # Story
//
// Pull asks a registry (package registry) what a name means, takes the manifest for this machine, and lets its blobs come in side by side: each
// goes to a file of its own, and at the same time, while it is still arriving, to a confined child process that unpacks it on top of the layers
// below. Load reads an archive (what docker save writes, or an OCI layout in a tar) in one pass: every file goes to a temporary one while its
// digest is computed; then the archive's own index says which of them make images. Either way, at last the index gets the image and its names.
// Whoever creates a container pins the image's layers under the container's ID and stacks them with overlayfs.
//
// # Vocabulary
//
//   - ID: the digest of the image's configuration, what CRI calls the image's ID.
//   - manifest digest: what registries and name@sha256:… mean. One image may be known by several.
//   - diff ID: the digest of a layer's uncompressed tar stream. chain ID: the digest that stands for a layer and all below it, as the OCI
//     image specification computes it.
//   - name: always complete, as docker.io/library/nginx:latest.
//   - lease: what work under way has made or found and will refer to. It lasts as long as its process. pin: what a container uses.
//   - flight: work that several callers share, such as the arrival of a blob or the unpacking of a chain.
//
// # On disk, below one root directory
//
//	index.json             the images; replaced as a whole, synced
//	archives.json          which archives of a directory were loaded (LoadDir), with size and time
//	index.lock             flock, exclusive: who changes index.json or archives.json
//	gc.lock                flock, shared: who takes a lease or a pin, for a moment; exclusive: who removes content
//	blobs/sha256/HEX       manifests, configurations, layers as they came
//	partial/HEX            a blob that is arriving, or that stopped to; flock, exclusive: who writes it
//	layers/HEX/fs/         a chain's uppermost layer, as overlayfs takes it (HEX of the chain ID)
//	layers/HEX/layer.json  its size
//	pins/OWNER             chain IDs that must stay, one per line
//	tmp/WORK/keep          a lease: digests and chain IDs, one per line; flock, exclusive: its process, while it lives
//	tmp/WORK/…             what it has not finished. Without a living process it goes with the next removal
//
// # Laws
//
//   - A name in the index means: everything it needs is on disk, verified and synced. Files appear under their final names by rename only.
//   - The digest of everything is checked against what refers to it, diff IDs included.
//   - Several processes may work on one root: the server, and `floe images` beside it. index.json is read again when it changed.
//   - A kill at any moment loses nothing that is in the index and leaves nothing that the next removal does not find. Blobs that arrived in part
//     are gone on with; a layer that was being unpacked is unpacked again.
//   - A blob that arrives with the wrong digest is never unpacked into a layer that stays, although it is read while it arrives.
//   - What an archive or a registry can make this package hold is limited (Limits); what a layer can make the disk hold is package layer's.
//
// # Locks
//
// gc.lock before index.lock before Store.mu. Waiting for these flocks does not heed a context: their holders never wait for anything else but the
// disk. Nobody waits for the lock of a lease; that of a partial blob is asked for again and again, heeding the context.
// flights.mu and incoming.mu are leaves.
//
// # Left to others
//
// Unpacking (package layer, in the process that Unpacker starts), the protocol of registries (package registry), and when to remove anything.
package image
