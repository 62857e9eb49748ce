// Package match says which wishes a webhook or a policy is meant for, and shows it the objects in the version that it speaks.
//
// # Vocabulary
//
// Criteria are rules (operations on resources), a selector of namespaces and one of objects. An equivalent is another resource that has the same objects: another
// version, or another group. A form is the resource and the kind in which whoever is meant gets to see an object.
//
// # Laws
//
//   - The first rule that fits the request as it was made decides; equivalents are looked at after all rules, and only when the match policy says so.
//   - What is wrong with a selector, or with the namespace, is an error only of who would be meant otherwise.
//   - Configurations of webhooks and policies are never shown to webhooks and policies: a bad one could not be taken away again.
//   - An object that is shown says its type and is not the chain's own, but may share what it holds: it is only read.
//
// # What it leaves to others
//
// Conditions in CEL: package expression.
package match
