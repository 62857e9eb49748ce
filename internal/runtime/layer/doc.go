// Package layer unpacks one layer of an image into the form that overlayfs stacks.
//
// # Story
//
// A layer is a tar stream of changes against the layers below it. Unpack writes files, directories, links and device nodes with their owners,
// modes, times and extended attributes below the root directory of the calling process, and turns the stream's two kinds of deletion into
// overlayfs's: ".wh.NAME" becomes a character device 0:0 called NAME, ".wh..wh..opq" the attribute trusted.overlay.opaque of its
// directory. Directories a layer leaves out but needs get the attributes they have below; for these alone it asks for the layers below, and
// waits until they are there, so that the layers of an image may be unpacked at the same time.
//
// # Laws
//
//   - The caller has made the target directory its root (see cmd/floe-shim), with nothing else to be named. So a link, whatever it says,
//     leads somewhere inside the layer. This package adds what a root directory does not give: limits, refusal of names with ".." and of device
//     0:0, and leaving out attributes that mean something to overlayfs or the host (trusted.*, user.overlay.*, security.selinux and the like).
//   - Device nodes are made as the layer says: the directory above all layers is 0700, and a container's device cgroup decides what it may open.
//   - The first error ends the work; the caller throws everything away. A layer is there whole or not at all.
//   - Memory does not depend on the layer, except the names of its directories, up to Limits.Remembered.
//   - Blocks of zeros become holes: sparse files stay sparse, and files of zeros take no place.
//
// # Left to others
//
// Digests of blobs, names, and moving the result into place: package image.
package layer
