// Package node holds the kinds of node.k8s.io: how nodes run pods. The kind Node itself is of the group without a name, in package core.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its file.
package node
