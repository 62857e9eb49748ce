// Package api is how the API is served: the verbs of every kind, written once, over the store.
//
// # Vocabulary
//
// A request is a user's wish past authentication: a verb on a kind, perhaps on one object or a subresource. A result is the
// object that answers it. The head of an object is its newest state, writes that are not yet durable included. To decide is to
// compute an object's next state from its head; to revise is to decide and commit, again when another writer was quicker.
//
// # Laws
//
//   - A request is authorized before anything else is looked at; a refused request changes nothing and says why, as a
//     StatusError with upstream's reason, message and causes.
//   - Success is answered only when the record is durable; a refusal that rests on a record that is not yet durable waits for it.
//   - What the server computes (patch, scale, binding, status) is computed again when it loses a race, at most attempts times; only a
//     client's own precondition fails at once.
//   - No object enters a namespace that does not exist or is being terminated: its record is a condition of the transaction.
//   - Objects in results are shared and immutable. Objects handed in are never changed.
//
// # The path of a write
//
// authorize → default → mutating admission → the kind's claim and prepare → metadata and the kind's validate → validating admission → charge → log → table
// → answer; package admission says more. The package wire, below
// this one, decodes before it and encodes after it; floe's own parts call the verbs directly, through client/inprocess.
//
// # What it leaves to others
//
// What a kind is belongs to kinds; HTTP, encodings, tables and discovery to wire; who may do what to auth; durability to store.
package api
