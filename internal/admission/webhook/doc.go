// Package webhook asks the webhooks of MutatingWebhookConfigurations and ValidatingWebhookConfigurations: somebody else's servers, which may change a wish or
// refuse it.
//
// # Vocabulary
//
// A hook is one webhook of a configuration, with all that is needed to ask it. A review is the document that goes to a hook, and its answer. To fail open is to let
// a wish pass that a hook could not be asked about, as its failure policy Ignore wants.
//
// # Laws
//
//   - Hooks are asked in the order of their configurations' names. Those that change are asked one after the other, each about what the one before has
//     made of the object; those that validate all at once.
//   - Configurations are read when they have changed, before the next wish is answered: who has written one finds it in force. Hooks are replaced together.
//   - A hook is asked again, once, when somebody after it has changed the object and its reinvocation policy wants so.
//   - Nothing that a hook does holds a request longer than its timeout and the request's own, or makes the server read more than 16 MiB of it.
//   - What clients are told (messages, codes, warnings, annotations of the audit trail) is upstream's word for word.
//   - Without configurations a wish costs the comparison of one number, and no allocation.
//
// # What it leaves to others
//
// Whether a configuration is valid: package kinds/admissionregistration. Which wishes it means: package match. Conditions: package expression. The way to a
// hook, and as whom it is asked: package reach.
package webhook
