// Package apiextensions holds the one kind of apiextensions.k8s.io: CustomResourceDefinition, by which users add kinds of their own to the API.
//
// # Vocabulary
//
// A definition serves its resource in versions; one of them is the storage version. Its stored versions are all in which objects may still be kept. It is
// established when its names are accepted and its resource is served.
//
// # Laws
//
//   - Upstream stores a definition after it has gone through its own, unversioned types, which leaves some of it written otherwise: defaults and examples as
//     plain JSON with sorted keys, what all versions have in common from the first of them. Canonical does the same, after validation, which upstream does on what was sent.
//   - Those types are seen here alone, for that and for upstream's own validation of schemas, which is a library. What it needs of CEL it makes when the
//     first rule comes.
//   - The first wish to delete a definition marks it, whatever becomes of dependents: its finalizer keeps it until its objects are gone.
//
// # What it leaves to others
//
// Accepting names, serving the resource, and removing its objects before the finalizer are api's and controllers'.
package apiextensions
