// Package rbac decides by the roles and bindings of rbac.authorization.k8s.io who may do what, and holds the roles that every cluster begins with.
//
// # Vocabulary
//
// A rule allows verbs on resources of groups, or on paths; a role is a list of rules; a binding gives a role to subjects, in its namespace or everywhere.
// Grants are all rules that hold for one user in one namespace, put together once. The generation of the policy is a number that rises whenever a role or a
// binding changes.
//
// # Laws
//
//   - Rules only allow: without one that does there is no opinion, and the reason names the roles that a binding wants and that are not there.
//   - A decision rests on the table as it is: grants of an older generation are never used.
//   - A decision for a user who asked before, while the policy stood still, allocates nothing. Putting grants together takes time by the user's own
//     bindings, not by how many there are.
//   - At most mostGrants users and namespaces are remembered.
//
// Authorizer.mu is a leaf; it is not held while the table is read.
//
// # What it leaves to others
//
// What roles and bindings look like belongs to kinds/rbac, as does when a user must hold what they give away; storing the first roles belongs to
// controller/rbacpolicy.
package rbac
