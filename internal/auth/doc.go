// Package auth says who a request comes from, and whether that user may do what it asks.
//
// # Vocabulary
//
// A user has a name and groups. An authenticator reads a user from a request's credentials. Attributes are what a request
// wants, as authorization sees it: a verb on a resource, or on a path that is no resource. An authorizer allows, denies, or has no opinion.
//
// # Laws
//
//   - A credential that is shown and not good is an error (401), never an anonymous user, unless another one is good; no credential at all is
//     system:anonymous.
//   - What was good is taken from the request (header, subprotocol), so that no secret travels further.
//   - A remembered answer is never older than CacheFor, holds for the audiences that were asked for only, and ends with its token.
//   - Nothing waits on the network with a lock held, and one token is never checked twice at a time.
//   - What no authorizer allows is forbidden. The group system:masters may do everything.
//   - Everything is safe for concurrent use.
//
// # What it leaves to others
//
// The kinds of credentials and of policies have packages of their own below this one: token, tokenfile, bootstraptoken and proxy know users; rbac decides by
// roles and bindings. cluster puts them in a row.
package auth
