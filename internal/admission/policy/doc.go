// Package policy applies ValidatingAdmissionPolicies and MutatingAdmissionPolicies: expressions in CEL that change a wish or refuse it.
//
// # Vocabulary
//
// A binding puts a policy to work; a policy without one does nothing. A parameter is an object that a binding names and the policy's expressions read. A case is a
// policy that is meant, one of its bindings, and the parameters. A decision is what one validation says. A misfit is what is wrong with a policy or a binding
// itself: its failure policy says whether it refuses the wish.
//
// # Laws
//
//   - Policies are asked in the order of their names, and bindings in theirs.
//   - Policies and bindings are read when they have changed, before the next wish is answered. A policy is compiled when the first wish is held against it, once,
//     and again only when it has changed.
//   - One evaluation of a policy costs at most what upstream allows: for its match conditions, for its validations with their messages, for its annotations, and
//     for each mutation. Every single expression has a bound of its own besides.
//   - All of a binding's decisions are made before the first refusal is answered; the answer tells the first.
//   - Policies are not told of policies and bindings, nor of reviews, which say who may do what: one bad policy could not be taken away again.
//
// # What it leaves to others
//
// Whether a policy is valid: package kinds/admissionregistration. Which wishes are meant: package match. How expressions are evaluated: package expression. What the
// status says of a policy's types: a controller.
package policy
