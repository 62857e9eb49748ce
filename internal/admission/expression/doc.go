// Package expression evaluates expressions in CEL about a wish: the match conditions of webhooks and policies, and for package policy all that a policy says.
//
// # Vocabulary
//
// An input is a wish as expressions see it: object, oldObject, request, namespaceObject, params and the authorizer. A budget is what evaluating may cost, in
// CEL's own units; each expression has a bound of its own besides.
//
// # Laws
//
//   - What an expression means is decided by k8s.io/apiserver's compiler and no one else, so that what upstream accepts means the same here.
//   - Nothing is compiled before it is needed: the first environment of CEL takes milliseconds and half a megabyte.
//   - Stored expressions may use all that this release knows; package kinds/admissionregistration says what new ones may.
//
// # What it leaves to others
//
// Whether an expression is valid: package kinds/admissionregistration. What follows from a result: webhook and policy.
package expression
