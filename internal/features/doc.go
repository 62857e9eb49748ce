// Package features says which of upstream's features and API versions are switched on.
//
// # Vocabulary
//
// A gate is a named switch of a feature, with a stage (ALPHA, BETA, GA, DEPRECATED) and a default; gates.tsv lists upstream's of the release that floe follows. floe
// has a feature in the state of its gate's default; of some it has both states, and those can be switched. A runtime configuration
// switches whole API versions, and single resources of them.
//
// # Laws
//
//   - Nothing is accepted silently: a name that upstream does not know is an error in upstream's words, and a state that floe does not have is an
//     error that says so.
//   - Everything here is a value. Nothing of it is package-level state, as upstream's gates are.
//
// # What it leaves to others
//
// Each part reads its own gates from the value that it is given.
package features
