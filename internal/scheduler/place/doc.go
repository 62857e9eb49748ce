// Package place decides which node a pod runs on: kube-scheduler v1.36's rules, looked at from every node, kept up to date
// instead of computed anew.
//
// The obvious scheduler asks every rule about every node for every pod; with 5,000 nodes that takes milliseconds, with pod
// affinity far longer. Yet between two decisions almost nothing changes: one node has one pod more. So this package keeps
// what the rules said, by the kind of pod that asked, and repairs only what a change touched.
//
// # Vocabulary
//
// A row is a node's place in the table: small, stable while the node exists, used again afterwards. A row stands also for a
// node that is not known (yet, or any more) when pods say they are on it.
//
// A shape is all that matters of a pod that is on a node: namespace, labels, requests, ports, affinity. Pods of one
// ReplicaSet share one, so a million pods cost a million small records and few shapes.
//
// A template is a pod's rules, parsed; a class is a template together with what the pod's labels make of it (which existing
// pods' terms it meets, whether it matches its own). Pods of one class fit the same nodes with the same scores.
//
// A tally counts, by row, the pods that a selector matches. A carried term is an affinity term of pods on nodes: their
// wish about pods to come. A topology is a label key seen as a column: the domain of every row.
//
// A group is the rows of a class that the rules cannot tell apart but for what they have left: same taints that matter,
// same preferred affinity, same images, same domains. Rules that speak of domains are asked once a group. Where every
// domain is one row (host names), rows are grouped by their counts instead, so there are few groups then as well.
//
//	Decide ─→ template ─→ class ─→ catch up: rows in the change log since the class was last used
//	                        └─→ groups: judged, weighed; the best rows of the best groups are the candidates
//
// # Laws
//
//   - A plan is a function of the table, the pod, the policy and the random source. What is cached does not show: among
//     equals the choice goes by row, so a class that was forgotten and made again chooses alike.
//   - All nodes are looked at, always: percentageOfNodesToScore is 100.
//   - Statuses, their order and their reasons are upstream's, and so is the message of a pod that fits nowhere.
//   - Nothing here reads a clock, starts a goroutine or keeps a pod or node object longer than the call: a row and a shape
//     keep the label maps, and what they need otherwise by value.
//   - Classes, templates and the change log are bounded; shapes, terms and topologies go with their last pod.
//
// A Table belongs to one goroutine.
//
// # What it leaves to others
//
// Queues, gates, binding and the words of preemption belong to the shell. Rules that need objects the table does not hold
// (volumes, resource claims) join by the interface Rule; preemption asks its questions by Trial; extenders by Extend.
package place
