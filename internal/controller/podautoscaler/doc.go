// Package podautoscaler scales what HorizontalPodAutoscalers name so that metrics of its pods, of an object or of something outside come near their targets.
//
// # Vocabulary
//
// The target is the object that is scaled, as its scale shows it: what it wants, what it has, and the selector of its pods. A sample is what one pod
// used lately. A proposal is how many replicas one metric asks for; the largest of all counts. The past is what an autoscaler proposed and did before: its
// recommendations, which stabilize what it does next, and its changes, which limit how fast it goes on.
//
// # A round
//
//	target ──► samples ──► a proposal for each metric ──► the largest ──► stabilized by the past ──► limited ──► the scale
//	   └──────────┴─ a condition and an event say what cannot be had ─┘
//
// # Laws
//
//   - An autoscaler has a round every period, and at once when its spec changes. What it writes itself wakes nobody.
//   - Unknown is careful: a pod without a sample counts as idle when the others ask for more, and as busy when they ask for less; a metric that
//     cannot be had never lets others scale down.
//   - What proposes and limits is pure: time, samples and the past are given to it.
//   - A round costs the pods of the target's namespace; it does not look at other autoscalers but those that may select the same pods.
//
// The algorithm, its words and its numbers are kube-controller-manager v1.36's; scaling to zero (HPAScaleToZero) is off there, and not here. One thing differs:
// upstream begins its first round a period after the object was made.
//
// # What it leaves to others
//
// Metrics come from the servers of metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io, through a Source. Objects of kinds that another server
// has cannot be targets.
//
// A controller's lock guards the past of all its autoscalers and is held during no call; the past of one is its round's.
package podautoscaler
