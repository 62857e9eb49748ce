// Package podlife is the life of a pod on a node that does not exist: from what a pod is and how it is meant to behave, it says which status is true
// at a time, and when that changes next.
//
// # Vocabulary
//
// A behaviour says how long images take to pull, containers to start, to become ready, to run and to stop, and how they end. A life is what is
// remembered of one pod: for each container what it does and since when. Attempts of a container are counted from 0, as its restarts are.
//
// # Laws
//
//   - Everything is pure: the same pod, life, behaviour, seed and times give the same statuses, in any number of steps. Times within ranges come from a hash
//     of seed, container and attempt, so none is remembered.
//   - What a status says is never taken back by forgetting: Recover makes a life from a pod's status that goes on where that one stood. Containers that the
//     status shows begun are not begun again, and nothing that had an end is run twice. Statuses have whole seconds, so what waits is off by less than one.
//   - Init containers go one after another, those that restart always (sidecars) beside what follows; sidecars stop when all other containers have ended for good.
//   - A phase that is Succeeded or Failed is the last.
//
// # What it leaves to others
//
// Who gives a pod its addresses, when statuses are written, and whether a node is there at all.
package podlife
