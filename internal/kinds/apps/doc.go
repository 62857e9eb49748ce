// Package apps holds the kinds of the group apps: workloads that keep pods running, and the revisions by which they return to what they were.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its file; what the kinds of this
// group share (selector and template) stands in workload.go, and the claims for volumes that a stateful set makes in claim.go.
package apps
