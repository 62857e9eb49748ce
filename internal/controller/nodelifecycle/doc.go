// Package nodelifecycle says which nodes are alive, taints those that are not, and says of their pods that they are not ready.
//
// # Vocabulary
//
// A node shows that it lives by renewing its lease or posting its status. What counts is when that was seen here, by this clock, not what time it says: the
// clocks of nodes may be wrong. The grace period is how long a node may be silent. A zone is all nodes of one region and zone by their labels; it is
//
//	Normal ── 3 or more nodes, and 55 % of all, not ready ──► PartialDisruption ── none ready ──► FullDisruption
//
// and back. When all zones are in full disruption, the cause is taken to be here rather than with the nodes: all evictions stop.
//
// # Laws
//
//   - A node that was silent for its grace period has the conditions that a kubelet posts set to Unknown, once, and its pods' condition Ready to False.
//   - A node has the NoSchedule taints of its conditions, and no other of these keys with this effect. All other taints are left.
//   - A node that is not ready has one of the taints not-ready and unreachable with NoExecute, which evict, the one that its condition asks for; it gets the first of
//     them only when its zone's rate allows, and so many nodes a second at most lose their pods. A ready node has neither.
//   - While all zones are in full disruption no node has them. When that ends, every node has its whole grace period again.
//   - A sign of life costs a look at the lease; a ready node is looked at when something of it changes and when its grace period may be over. Only nodes that are
//     not ready are looked at every NodeMonitorPeriod. All nodes are listed once, at the first look, so that a zone is not judged by its first node.
//
// What is remembered, when a node was seen alive and what is granted, is lost with the process: after a start each node has its grace period, as upstream.
// Lock: state.mu is a leaf; under it is no I/O.
//
// # What it leaves to others
//
// Deleting pods belongs to tainteviction; pods of nodes that are gone to podgc. A new node's taint belongs to the API's kind.
package nodelifecycle
