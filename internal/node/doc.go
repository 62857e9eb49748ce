// Package node is the node agent: it makes this machine a Node of the cluster and runs the pods that are bound to it.
//
// # Vocabulary
//
// What is wanted of a pod is its object in the API. What is there are its sandboxes and containers in the runtime. A decision compares the two
// and says what to do next and what status is true now; a worker, one for each pod, carries decisions out until nothing is left to do. A try is
// what a worker remembers of failures of one container: why, and until when it waits.
//
// # Laws
//
//   - decide is pure: the same pod, observation, tries and time give the same plan.
//   - Every step may be repeated: after a crash of floe the next decision begins with what the runtime says is there.
//   - Containers run on when the agent ends. A sandbox whose pod is gone from the API is removed.
//   - A pod is deleted from the API only after its containers have ended and its sandbox is gone, and only the pod of that UID.
//   - What a pod asks and this agent cannot do is refused by name (phase Failed, reason UnsupportedPodFeature), never ignored.
//   - Nothing is polled: workers wake on changes of their pod, on events of the runtime, and when a wait that they know of is over.
//
// # Recovery
//
// What may have changed while floe was down: containers ended, pods were deleted or changed, the machine was restarted. What has not: a
// container's id, its pod's UID (a label), its place in the order of restarts (its attempt), its log and its message file. What is
// forgotten: tries, so that a failing container is tried once at once.
//
// Locks: Agent.mu guards the list of workers, worker.mu one worker's wishes; both are leaves.
//
// # What it leaves to others
//
// Running containers belongs to the runtime behind the CRI methods, placing pods to the scheduler, addresses to network. The handler expects
// that its callers were authenticated.
package node
