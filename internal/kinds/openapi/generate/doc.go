// Package generate makes the OpenAPI documents of the kinds that it is given, of both versions, as upstream's servers publish them.
//
// # Vocabulary
//
// A route is one method of one path, with all that documents say of it. A service is the routes below one path that stand in one document of
// version 3; version 2 has all services in one document. A definition is the schema of one type of the API; openapi-gen makes them from the
// sources of the types when main.go is run (hack/generate), and they are not kept.
//
// # Laws
//
//   - Documents follow from the kinds and the types alone; the same input makes the same bytes. Where all kinds of a group and version are
//     given, its document is upstream's, byte for byte, and so is its hash.
//   - What encodes documents is upstream's own library, kube-openapi. It is linked into the generator only, never into floe.
//
// # What it leaves to others
//
// Reading what was made: package openapi. Serving it: api/wire.
package generate
