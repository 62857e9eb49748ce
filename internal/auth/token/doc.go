// Package token makes and checks the tokens of service accounts: JSON web tokens (RFC 7519) in the compact form of RFC 7515 that the cluster
// itself signs.
//
// # Vocabulary
//
// A key is public and has an id, the hash of its DER form, which a token names as kid. A signer is the one private key that signs. The issuer is
// the name (a
// URL) that a token says it comes from, an audience a name of who may take it. A token is bound to an account, and may be bound to a pod, a node
// or a secret
// too: it is good as long as those objects are there.
//
// # Laws
//
//   - Nothing of a token is believed before its signature was checked with a key of ours, by the algorithm of that key; what its header says of
//     an algorithm
//     must be the same, so that "none" and a public key taken for a shared secret have no meaning here.
//   - A token longer than auth.MaxTokenLength bytes is refused before anything of it is read.
//   - A token of another issuer is nobody's here (ok false), which leaves it to other authenticators; one of ours that is not good is an error.
//   - Objects that are being deleted keep their tokens for the leeway of a minute, as upstream's; an object of the same name and another UID has
//     none.
//
// # What it leaves to others
//
// Who may ask for a token, and for how long, is said by kinds/core (serviceaccounts/token); where key files are is said by cluster.
package token
