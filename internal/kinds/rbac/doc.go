// Package rbac holds the kinds of rbac.authorization.k8s.io: who may do what. A role is a list of rules, a binding gives a role to
// subjects; both exist for a namespace and for the whole cluster.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its file; what roles and
// bindings share stands in rule.go and subject.go.
//
// # What it leaves to others
//
// What the rules mean is decided by auth/rbac; here stands only when a user may give away what a rule or a binding grants (escalation), which api asks
// before a write.
package rbac
