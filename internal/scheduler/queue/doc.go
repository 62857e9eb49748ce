// Package queue holds the pods that have no node and says which of them to try next: kube-scheduler v1.36's queue, whose waking costs
// the pods that are woken rather than all that wait.
//
// # Vocabulary
//
//	            ┌──── gates left ───── Gated
//	            ↓                        ↑ gates
//	Add ──→  Active ──Pop──→ InFlight ──Plan──→ Planned ──Remove──→ (bound, or gone)
//	            ↑  ↑           │    │               │
//	            │  └─ Backoff ←┘    └─ Park ─→ Parked
//	            │       ↑  Fail, Park          │  │
//	            │       └── an event may help ─┘  │
//	            └────────── nothing to wait for ──┘
//
// A pod is parked when rules refused every node. What refused it are plug-ins, by name; no name at all means that there was no node.
// An event is a change that may help parked pods. Whether it helps is decided by the hint of each plug-in that refused: upstream's
// EventsToRegister and hint functions, and where the table knows better, sharper ones (a pod that needs 2 cores is not woken by a pod
// that leaves half a one on a full node).
//
// A cohort is the parked pods that no hint can tell apart: the pods of one ReplicaSet, say. A hint is asked once a cohort. Cohorts stand
// under the plug-ins that refused them, and those that lack room by priority and then by how much CPU they want, so that room on a node is
// offered only to those whom it might do.
//
// A pod may be held: it stands with those that are gated, and only who holds it lets it go. One whose resource claims are not there stands
// with them too, without having been tried, until they are.
//
// Backoff follows attempts that failed: the first second, then doubled up to the limit, counted from the failure. Errors count apart from
// refusals. A pod whose backoff goes on is still given out when nothing else is there to try, as upstream does, unless it failed by an error.
//
// # Laws
//
//   - A pod is in one state only, and is given out by Pop at most once until it is parked, failed or planned.
//   - Order is by priority, then by the time that the pod came (back) into the queue, then by the order of arrival: two runs with the same
//     calls give the same answers.
//   - An event between Pop and Park counts as if it had come after Park.
//   - A parked pod is tried again after Config.Leftover whatever happened, so that a hint that is wrong delays and does not lose.
//   - Nothing here reads a clock, starts a goroutine or changes a pod. Pods are kept by pointer until they leave.
//
// A Queue belongs to one goroutine.
//
// # What it leaves to others
//
// Which pods are ours, what became of a try, and telling of it: the shell.
package queue
