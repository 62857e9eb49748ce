// Package auth says who a request comes from, and whether that user may do what it asks.
//
// # Vocabulary
//
// A user has a name and groups. An authenticator reads a user from a request's credentials. Attributes are what a request
// wants, as authorization sees it: a verb on a resource, or on a path that is no resource. A rule allows verbs, as
// RBAC's PolicyRule; a grant gives rules to users and groups.
//
// # Laws
//
//   - A credential that is shown and not good is an error (401), never an anonymous user; no credential at all is system:anonymous.
//   - What no rule allows is forbidden. The group system:masters may do everything.
//   - Pure: no clock but the one given, no I/O, no state. Everything is safe for concurrent use.
//
// # What it leaves to others
//
// The policy is upstream's bootstrap policy for the identities that exist so far, fixed in policy.go. Roles that users
// write, tokens and webhooks belong to the packages that will stand below this one.
package auth
