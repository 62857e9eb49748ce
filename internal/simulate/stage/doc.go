// Package stage plays kwok's Stage objects (kwok.x-k8s.io/v1alpha1): what becomes of Nodes and Pods, and when, as templates over what they are.
//
// # Vocabulary
//
// A stage has a selector, a delay and steps. A rule is a stage that was read and compiled. A set is the rules of one kind, and a play is one rule's steps as
// they are for one object: patches, a deletion, finalizers, an event.
//
// # Laws
//
//   - Pure: the same set, object, share and time give the same rule, delay and play.
//   - What a stage asks and this package does not do is an error when it is read, with file, line and field; nothing is passed over.
//   - An expression that fails for an object has no value there, as in kwok.
//
// # Facts
//
// Where kwok's documentation leaves a question open, its controllers' behaviour decides: among the stages that match, weights choose, and when all are 0 each is
// as likely as another; a jitter below the delay replaces it; a deletion leaves the patches after it out. Both forms of expressions are taken: key, operator,
// values, and the newer jq; so are next and steps. Templates have Go's own functions, kwok's, and those of sprig that are about text, numbers, lists
// and dictionaries; another one is an error that names it.
//
// # What it leaves to others
//
// Who writes what a play says, and which addresses nodes and pods have.
package stage
