// Package policy holds the kinds of the group policy: how much of a workload may be disturbed at once.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its file.
//
// # What it leaves to others
//
// Evictions, which ask a budget before they delete a pod, are a subresource of pods. A budget's status is its controller's.
package policy
