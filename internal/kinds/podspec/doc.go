// Package podspec is what kinds that hold a pod specification share: its defaults, its validation, and what follows from it.
//
// # Vocabulary and laws
//
// A specification stands in a pod or in a template of one. Default fills what upstream's defaulting fills, and is idempotent; Validate
// reports every violation that it knows under the path given, with upstream's types and details. Nothing here looks at a status.
//
// # What it leaves to others
//
// What admission plug-ins do to new pods belongs to the pod kind. What a node cannot run yet is refused by the node, by name.
package podspec
