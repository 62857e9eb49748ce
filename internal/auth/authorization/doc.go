// Package authorization puts together who decides what users may do, by modes or by upstream's AuthorizationConfiguration file.
//
// # Vocabulary
//
// A mode is a kind of authorizer: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny. The configuration lists authorizers in the order in which they are asked; only
// webhooks may be there more than once.
//
// # Laws
//
//   - system:masters is asked for first, whatever the configuration says, so that no file locks an administrator out.
//   - A wrong file is an error that names the file, the line and the field; it stops a start, and never replaces a good one while the server runs.
//   - A change of the file counts as a whole: a question is decided by one configuration.
//
// # What it leaves to others
//
// The authorizers themselves. ABAC, whose policy no API shows, is refused.
package authorization
