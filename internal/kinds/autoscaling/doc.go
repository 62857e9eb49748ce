// Package autoscaling holds the kinds of the group autoscaling: how many pods a workload shall have, by measure.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its file. A HorizontalPodAutoscaler is
// stored as autoscaling/v2, and served as autoscaling/v1 too: ToV1 and FromV1 (version1.go, metrics.go) lose nothing, since what v1 has no
// field for travels in annotations, whose names and form are upstream's.
//
// # What it leaves to others
//
// Scale, which the group names too, has no objects of its own: it is a part of the workloads that have one.
package autoscaling
