// Package custom serves the resources that CustomResourceDefinitions define.
//
// # Vocabulary
//
// A definition is one CustomResourceDefinition that is served: its accepted names, and a version for each of its spec's that is served or stored. A
// version is one kinds.Kind over unstructured objects, with the rules of its schema. To coerce an object is to take from it what its schema does not
// know. The hub is the version in which objects are stored. The Keeper follows all definitions, says in their status what became of them, and tells the
// API what it serves.
//
// # Laws
//
//   - A schema is compiled when the first object of its version comes, once, and is shared by all readers and writers after that. A definition that nobody
//     uses costs its names and its place in discovery; its text is the table's.
//   - A resource is served before its definition says that it is established.
//   - A definition that changes in anything but its status is another one: watches of the old one end, and what was cached of its objects is made anew.
//   - What a definition's author or a conversion webhook says is never trusted: rules have cost limits, answers have a limit of bytes and of time.
//
// # What is upstream's
//
// Structural schemas, defaults, pruning, list types, rules in CEL and the validation of values are k8s.io/apiextensions-apiserver's packages (see
// docs/adr/007-kinds-that-come-and-go.md). What is done with them, and everything else, is here.
//
// # What it leaves to others
//
// Whether a definition is valid is kinds/apiextensions'; verbs, storage and encodings are api's.
package custom
