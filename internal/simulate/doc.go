// Package simulate makes nodes that do not exist: they register, renew their leases, run pods and fail, so that a cluster of thousands of nodes stands on one
// machine, beside real ones if need be.
//
// # Vocabulary
//
// A profile says which nodes there are and how they and their pods behave. A machine is one simulated node. An outage is a time in which nothing is heard of a
// machine. A task is whatever takes turns: the care of a machine (it registers, reports, fails), its heartbeat, a pod. A turn is a decision in memory; what it
// wants written is a job, which a writer does.
//
// # Laws
//
//   - To everybody else a simulated node is a node: it writes as system:node:NAME, through the whole path of the API, what a kubelet would write.
//   - All state that matters is in the API. A session begins with a view and makes everything from that, so that a simulator that ends and begins again runs no
//     container twice and forgets no pod. In memory are only pods of which something is due.
//   - One goroutine owns machines, pods and the wheel, which holds all that waits for a time. There is none for a node or a pod: a fixed number
//     of writers does the writing, those of heartbeats apart from the others, so that no crowd of pods makes nodes look dead.
//   - A task has one job on its way at most, which bounds all queues.
//   - Heartbeats are spread evenly over their period, those of a tenth of a second together, so that they share the log's syncs.
//   - All that looks like chance is a hash of the profile's seed with names and UIDs.
//   - A Node object of another maker is left alone, unless it asks to be simulated by kwok's annotation.
//
// # What it leaves to others
//
// What a pod's status is at a time: podlife. What logs, exec and ports of simulated pods answer: nobody, as there is no kubelet to ask. Saying that
// a node is lost, and evicting its pods, belongs to the controllers, which see no difference.
package simulate
