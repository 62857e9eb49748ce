// Package scheduling holds the kinds of scheduling.k8s.io: how pods stand against each other when there is not room for all.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its file.
//
// # What it leaves to others
//
// That at most one class is the default of all pods rests on the other classes, and a pod's priority on its class: both are admission's.
package scheduling
