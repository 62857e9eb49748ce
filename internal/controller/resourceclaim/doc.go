// Package resourceclaim makes the ResourceClaims that pods ask for by templates, and gives back what pods that are done had reserved.
//
// # Vocabulary
//
// A claim is a ResourceClaim. A pod asks for claims by name, or for one of its own by a template; its status says what the latter is called. A claim is allocated when
// devices are its, and reserved for the pods that may use them. A pod is done when it has ended, or goes before it had a node.
//
//	pod with template ──► claim, controlled by it ──► its name in the pod's status ──► allocated and reserved by the scheduler
//	pod done ──► no longer reserved ──► of nobody any more: not allocated ──► of the pod's own: deleted
//
// # Laws
//
//   - A pod has one claim of its own for each template that it names: one that was made for it is found by its owner and its annotation before another is made.
//   - A reservation ends when its pod is done, is gone, or is another of the same name; those of others than pods stay.
//   - Devices are given back with the last reservation, and only of claims that upstream's finalizer says are allocated by the scheduler. The finalizer goes with them, as
//     they were written: whoever allocated them meanwhile keeps both.
//   - A claim that somebody else controls is never used for a template; the pod gets another one.
//
// A claim that the scheduler made for a pod's extended resources (status.extendedResourceClaimStatus) is given back and deleted like one from a template.
//
// # What it leaves to others
//
// Allocation belongs to the scheduler, drivers and nodes make devices ready, and garbage deletes the claims of pods that are gone. Claims of pod groups are behind a feature
// gate that is off by default in v1.36 (DRAWorkloadResourceClaims), and are not made.
package resourceclaim
